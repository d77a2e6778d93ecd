using Chatterbox.Service.Hosting;
using Chatterbox.Service.Models;
using Chatterbox.Service.OpenAi;
using Chatterbox.Service.Recordings;
using Microsoft.Extensions.Options;

namespace Chatterbox.Service.Voices;

/// <summary>Voices of recordings that clients send, within the limits of uploads.</summary>
internal sealed class SentVoices(VoiceCache voices, VoiceFormats formats, RecordingGate gate, IOptions<VoiceOptions> options)
{
    /// <summary>The voice of a recording that came with a request for speech: the same bytes are computed once.</summary>
    /// <param name="recording">The recording's file.</param>
    /// <param name="model">Who is to speak with it.</param>
    /// <param name="client">Who asks.</param>
    /// <param name="cancellationToken">Stops waiting for it.</param>
    /// <exception cref="RefusedException">Uploads are off, or it is too large, too long, or no recording.</exception>
    public async Task<Voice> GetAsync(ReadOnlyMemory<byte> recording, FleetModel model, string client, CancellationToken cancellationToken)
    {
        ThrowIfOff();
        if (recording.Length > options.Value.MaxUploadBytes)
        {
            throw new RefusedException(
                new Refusal(
                    413,
                    $"The recording has {recording.Length} bytes; the limit is {options.Value.MaxUploadBytes} (Voices:MaxUploadBytes).",
                    "voice",
                    "request_too_large"
                )
            );
        }

        Voice? voice = null;
        var folder = Directory.CreateDirectory(voices.Folder).FullName;
        await WholeFile.WriteAsync(
            Path.Combine(folder, "sent"),
            async part =>
            {
                await File.WriteAllBytesAsync(part, recording, cancellationToken);
                voice = await CheckAsync(new VoiceEntry("sent", part), model, client, "voice", cancellationToken);
            },
            (_, _) => { }
        ); // only its voice is kept
        return voice!;
    }

    /// <summary>The voice of a file that was sent: it can be read, is not too long, and becomes a voice.</summary>
    /// <param name="entry">The file.</param>
    /// <param name="model">Who is to speak with it.</param>
    /// <param name="client">Who asks.</param>
    /// <param name="parameter">Name of the recording in the request.</param>
    /// <param name="cancellationToken">Stops waiting for it.</param>
    /// <exception cref="RefusedException">It is unusable.</exception>
    public async Task<Voice> CheckAsync(
        VoiceEntry entry,
        FleetModel model,
        string client,
        string parameter,
        CancellationToken cancellationToken
    )
    {
        try
        {
            await gate.DecodeAsync(
                () => formats.LoadRecording(entry.Path, TimeSpan.FromSeconds(options.Value.MaxUploadSeconds)),
                cancellationToken
            );
            return await voices.GetAsync(entry, model, client, cancellationToken);
        }
        catch (VoiceException e)
        {
            throw OpenAiErrors.Invalid(parameter, entry.WithoutPath(e.Message), "unusable_voice");
        }
        finally
        {
            voices.Forget(entry.Path);
        }
    }

    /// <summary>Refuses recordings where uploads are off.</summary>
    /// <exception cref="RefusedException">They are.</exception>
    public void ThrowIfOff()
    {
        if (!options.Value.UploadsEnabled)
        {
            throw new RefusedException(
                new Refusal(
                    403,
                    "Changing voices over HTTP, or sending a recording of one, is off. Set Voices:UploadsEnabled to turn it on.",
                    Code: "uploads_disabled"
                )
            );
        }
    }
}
