using System.CommandLine;
using Chatterbox.Service.Hosting;
using Chatterbox.Service.Voices;
using Microsoft.Extensions.Options;

namespace Chatterbox.Service.Commands;

/// <summary><c>voices</c>: lists the voices that have a name; and finds one for the other commands.</summary>
internal static class VoicesCommand
{
    /// <summary>The folder in which voices are found by name.</summary>
    public static readonly Option<DirectoryInfo?> Folder = new("--voices")
    {
        Description = "Folder of voices; that of the service unless given.",
    };

    /// <summary>The command.</summary>
    public static Command Create()
    {
        var command = new Command("voices", "Lists the voices of the folder: the names that --voice and the service take.") { Folder };
        command.SetAction(parsed =>
        {
            var folder = FolderOf(parsed);
            foreach (var voice in folder.All())
            {
                parsed.InvocationConfiguration.Output.WriteLine($"{voice.Id}\t{voice.Path}");
            }

            if (folder.All().Count == 0)
            {
                parsed.InvocationConfiguration.Error.WriteLine(
                    $"There are no voices in {folder.Root}. Copy a recording of one speaker there: its name is the voice's."
                );
            }
        });
        return command;
    }

    /// <summary>The file of a voice: that of the path if there is one, else the voice of this name.</summary>
    /// <exception cref="VoiceException">There is neither.</exception>
    public static string Find(ParseResult parsed, string voice)
    {
        if (File.Exists(voice))
        {
            return voice;
        }

        var folder = FolderOf(parsed);
        var names = folder.All() is { Count: > 0 } all ? string.Join(", ", all.Select(v => v.Id)) : "none";
        return folder.Find(voice)?.Path
            ?? throw new VoiceException($"'{voice}' is neither a file nor a voice in {folder.Root}. The voices there are: {names}.");
    }

    private static VoiceFolder FolderOf(ParseResult parsed)
    {
        var given = parsed.GetValue(Folder)?.FullName;
        var settings = Program.CreateBuilder(given is null ? [] : [KeyValuePair.Create<string, string?>("Service:VoicesFolder", given)]);
        return new VoiceFolder(Options.Create(settings.ReadService()));
    }
}
