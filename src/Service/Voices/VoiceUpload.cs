using Chatterbox.Service.Hosting;
using Chatterbox.Service.Models;
using Chatterbox.Service.OpenAi;
using Chatterbox.Service.Recordings;
using Microsoft.Extensions.Options;

namespace Chatterbox.Service.Voices;

/// <summary>Adds and deletes voices over HTTP, where the settings allow it.</summary>
internal sealed class VoiceUpload(
    ModelFleet fleet,
    VoiceFolder folder,
    VoiceCache voices,
    SentVoices sent,
    RecordingGate gate,
    IOptions<VoiceOptions> options,
    ILogger<VoiceUpload> logger
)
{
    private readonly Lock _placing = new();

    /// <summary>The form it takes.</summary>
    public static IReadOnlyList<FormField> Fields { get; } =
    [
        new("name", "Name of the new voice.", IsRequired: true),
        new("file", "A recording of one speaker: wav, mp3, flac, opus, aiff, ogg or m4a.", IsFile: true, IsRequired: true),
    ];

    /// <summary>Adds a voice from a form with the fields <c>name</c> and <c>file</c>.</summary>
    public async Task<OpenAiVoice> Add(HttpContext http, CancellationToken cancellationToken)
    {
        sent.ThrowIfOff();
        var form = await RecordingForm.ReadAsync(http, gate, options.Value, [.. Fields.Select(field => field.Name)]);
        var file = form.RequiredFile("file");
        var name =
            form.Text("name")
            ?? throw OpenAiErrors.Invalid("name", "'name' is missing. Send a name for the voice.", "missing_required_parameter");
        var extension = Path.GetExtension(file.FileName).ToLowerInvariant();
        if (!VoiceFolder.RecordingExtensions.Contains(extension))
        {
            throw OpenAiErrors.Invalid(
                "file",
                $"The file must be a recording: {string.Join(", ", VoiceFolder.RecordingExtensions)}.",
                "unsupported_type"
            );
        }

        var path =
            name == "default" || VoiceFolder.RecordingExtensions.Any(e => name.EndsWith(e, StringComparison.OrdinalIgnoreCase))
                ? null
                : folder.PathFor(name, extension);
        if (path is null)
        {
            throw OpenAiErrors.Invalid(
                "name",
                "'name' must be a name that a file can have, without extension: letters, digits, spaces, dots within, '-' and '_'."
            );
        }

        ThrowIfThere(name);
        WholeFile.Sweep(folder.Root, DateTime.UtcNow);
        await WholeFile.WriteAsync(
            path,
            half => WriteAndCheck(file, new VoiceEntry(name, half), Clients.Of(http), cancellationToken),
            (half, whole) =>
            {
                lock (_placing)
                {
                    ThrowIfThere(name); // another upload was faster, perhaps one of another kind of file
                    File.Move(half, whole);
                }
            }
        );
        logger.LogInformation("Voice {Voice} was uploaded", name);
        return new OpenAiVoice(name, name, "recording");
    }

    /// <summary>Deletes a voice's file.</summary>
    public void Delete(string name)
    {
        sent.ThrowIfOff();
        var entry = folder.Find(name) ?? throw OpenAiErrors.NoVoice();
        File.Delete(entry.Path);
        voices.Forget(entry.Path);
        logger.LogInformation("Voice {Voice} was deleted", entry.Id);
    }

    private void ThrowIfThere(string name)
    {
        if (folder.Find(name) is not null || VoiceFolder.RecordingExtensions.Any(extension => Path.Exists(folder.PathFor(name, extension))))
        {
            throw new RefusedException(
                new Refusal(409, "A voice of this name exists. Delete it first, or choose another name.", "name", "voice_exists")
            );
        }
    }

    private async Task WriteAndCheck(IFormFile file, VoiceEntry entry, string client, CancellationToken cancellationToken)
    {
        await using (var stream = new FileStream(entry.Path, FileMode.CreateNew))
        {
            await file.CopyToAsync(stream, cancellationToken);
        }

        await sent.CheckAsync(entry, fleet.Default, client, "file", cancellationToken);
    }
}
