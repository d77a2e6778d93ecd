using Chatterbox.Service.Hosting;
using Chatterbox.Service.Models;
using Chatterbox.Service.OpenAi;
using Chatterbox.Service.Recordings;
using Microsoft.Extensions.Options;

namespace Chatterbox.Service.Voices;

/// <summary>Takes recordings in and puts them away, where the settings allow it.</summary>
internal sealed class VoiceUpload(ModelFleet fleet, VoiceFolder folder, VoiceCache voices, VoiceFormats formats, IOptions<VoiceOptions> options, ILogger<VoiceUpload> logger)
{
    /// <summary>The form it takes.</summary>
    public static IReadOnlyList<FormField> Fields { get; } =
    [
        new("name", "What the voice is to be called.", IsRequired: true),
        new("file", "A recording of it: wav, mp3, flac, ogg or m4a.", IsFile: true, IsRequired: true),
    ];

    /// <summary>Adds a voice from a form with the fields <c>name</c> and <c>file</c>.</summary>
    public async Task<OpenAiVoice> Add(HttpContext http, CancellationToken cancel)
    {
        ThrowIfOff();
        var form = await RecordingForm.ReadAsync(http, options.Value, [.. Fields.Select(field => field.Name)]);
        var file = form.RequiredFile("file");
        var name = form.Text("name") ?? throw OpenAiErrors.Invalid("name", "'name' is missing. Send a name for the voice.", "missing_required_parameter");
        var extension = Path.GetExtension(file.FileName).ToLowerInvariant();
        if (!VoiceFolder.RecordingExtensions.Contains(extension))
        {
            throw OpenAiErrors.Invalid("file", $"The file must be a recording: {string.Join(", ", VoiceFolder.RecordingExtensions)}.", "unsupported_type");
        }

        var path = name == "default" || VoiceFolder.RecordingExtensions.Any(e => name.EndsWith(e, StringComparison.OrdinalIgnoreCase)) ? null : folder.PathFor(name, extension);
        if (path is null)
        {
            throw OpenAiErrors.Invalid("name", "'name' must be a name that a file can have, without extension: letters, digits, spaces, dots within, '-' and '_'.");
        }

        if (folder.Find(name) is not null)
        {
            throw AlreadyThere();
        }

        var half = Path.Combine(folder.Root, $".{Guid.NewGuid():N}{extension}");
        try
        {
            await using (var stream = new FileStream(half, FileMode.CreateNew))
            {
                await file.CopyToAsync(stream, cancel);
            }

            await Check(new VoiceEntry(name, half), cancel);
            File.Move(half, path, overwrite: false);
        }
        catch (IOException) when (File.Exists(path))
        {
            throw AlreadyThere(); // another upload was faster
        }
        finally
        {
            File.Delete(half);
            voices.Forget(half);
        }

        logger.LogInformation("Voice {Voice} was uploaded", name);
        return new OpenAiVoice(name, name, "recording");
    }

    /// <summary>Deletes a voice's file.</summary>
    public void Delete(string name)
    {
        ThrowIfOff();
        var entry = folder.Find(name) ?? throw OpenAiErrors.NoVoice();
        File.Delete(entry.Path);
        voices.Forget(entry.Path);
        logger.LogInformation("Voice {Voice} was deleted", entry.Id);
    }

    private static RefusedException AlreadyThere() => new(new Refusal(409, "There is a voice of this name. Delete it first, or choose another name.", "name", "voice_exists"));

    private void ThrowIfOff()
    {
        if (!options.Value.UploadsEnabled)
        {
            throw new RefusedException(new Refusal(403, "Voices cannot be changed over HTTP here. Voices:UploadsEnabled turns it on.", Code: "uploads_disabled"));
        }
    }

    /// <summary>The recording can be read, is not too long, and becomes a voice of the default model.</summary>
    private async Task Check(VoiceEntry entry, CancellationToken cancel)
    {
        try
        {
            await Task.Run(() => formats.LoadRecording(entry.Path, TimeSpan.FromSeconds(options.Value.MaxUploadSeconds)), cancel);
            await voices.GetAsync(entry, fleet.Default, cancel);
        }
        catch (VoiceException e)
        {
            throw OpenAiErrors.Invalid("file", e.Message.Replace(entry.Path, entry.Id, StringComparison.Ordinal), "unusable_voice");
        }
    }
}
