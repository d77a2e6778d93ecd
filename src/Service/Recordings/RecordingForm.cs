using System.Globalization;
using Chatterbox.Audio;
using Chatterbox.Models;
using Chatterbox.Service.Hosting;
using Chatterbox.Service.OpenAi;
using Chatterbox.Service.Voices;
using Microsoft.AspNetCore.Http.Features;

namespace Chatterbox.Service.Recordings;

/// <summary>A field of a multipart form.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Description">What it takes.</param>
/// <param name="IsFile">Whether it is a file.</param>
/// <param name="IsRequired">Whether it must be there.</param>
internal sealed record FormField(string Name, string Description, bool IsFile = false, bool IsRequired = false);

/// <summary>A multipart form with recordings, within the limits of uploads.</summary>
internal sealed class RecordingForm
{
    private const int OtherBytes = 64 * 1024; // what is not a recording
    private const double ShortestSeconds = 0.1;

    private readonly IFormCollection _form;
    private readonly RecordingGate _gate;
    private readonly VoiceOptions _limits;
    private readonly AudioCodecs _codecs;

    private RecordingForm(IFormCollection form, RecordingGate gate, VoiceOptions limits, AudioCodecs codecs) =>
        (_form, _gate, _limits, _codecs) = (form, gate, limits, codecs);

    /// <summary>Reads a request's form.</summary>
    /// <param name="http">The request.</param>
    /// <param name="gate">Where the request takes a place until its answer has ended.</param>
    /// <param name="limits">Limits of uploads.</param>
    /// <param name="known">Names of the fields that the route knows; another is refused.</param>
    /// <param name="recordings">Most recordings among them.</param>
    /// <exception cref="RefusedException">The request is no such form, or too large; or there is no place for it.</exception>
    public static async Task<RecordingForm> ReadAsync(
        HttpContext http,
        RecordingGate gate,
        VoiceOptions limits,
        IReadOnlyList<string> known,
        int recordings = 1
    )
    {
        if (!http.Request.HasFormContentType)
        {
            throw new RefusedException(
                new Refusal(400, $"The request needs a multipart form with the fields {string.Join(", ", known)}.", Code: "invalid_form")
            );
        }

        var limit = (recordings * limits.MaxUploadBytes) + OtherBytes;
        if (http.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } size)
        {
            size.MaxRequestBodySize = limit;
        }

        gate.Enter(http);
        IFormCollection form;
        try
        {
            form = await http.Request.ReadFormAsync(
                new FormOptions
                {
                    MultipartBodyLengthLimit = limit,
                    ValueCountLimit = 16,
                    ValueLengthLimit = 4096,
                },
                http.RequestAborted
            );
        }
        catch (Exception e)
            when (e is InvalidDataException || (e is IOException and not BadHttpRequestException && !DiskErrors.IsFull((IOException)e)))
        {
            // Its length or number of fields is over a limit, or it ends before its closing boundary.
            throw new RefusedException(
                new Refusal(
                    400,
                    "The form cannot be read: it is incomplete, damaged, or has more fields than this route takes. Send a "
                        + "multipart/form-data body that ends with its closing boundary.",
                    Code: "invalid_form"
                )
            );
        }

        var stranger = form.Keys.Concat(form.Files.Select(file => file.Name)).FirstOrDefault(name => !known.Contains(name));
        return stranger is null
            ? new RecordingForm(form, gate, limits, http.RequestServices.GetRequiredService<AudioCodecs>())
            : throw OpenAiErrors.Invalid(
                stranger,
                $"The form has an unknown field. The fields of this route are: {string.Join(", ", known)}.",
                "unknown_parameter"
            );
    }

    /// <summary>The text of a field, or null.</summary>
    public string? Text(string name) => _form[name].ToString() is { Length: > 0 } text ? text : null;

    /// <summary>A file, or null.</summary>
    /// <exception cref="RefusedException">It is too large.</exception>
    public IFormFile? File(string name) =>
        _form.Files.GetFile(name) is not { } file ? null
        : file.Length <= _limits.MaxUploadBytes ? file
        : throw new RefusedException(
            new Refusal(
                413,
                $"The recording has {file.Length} bytes; the limit is {_limits.MaxUploadBytes} (Voices:MaxUploadBytes).",
                name,
                "request_too_large"
            )
        );

    /// <summary>A file that must be there.</summary>
    public IFormFile RequiredFile(string name) =>
        File(name) ?? throw OpenAiErrors.Invalid(name, $"'{name}' is missing. Send a recording.", "missing_required_parameter");

    /// <summary>The sound of a file that must be there.</summary>
    /// <param name="name">Name of its field.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="RefusedException">It is missing, no recording, too short, too long or too large.</exception>
    public async Task<AudioClip> Hear(string name, CancellationToken cancellationToken)
    {
        AudioClip recording;
        await using var stream = RequiredFile(name).OpenReadStream();
        try
        {
            recording = await _gate.DecodeAsync(
                () => _codecs.Load(stream, TimeSpan.FromSeconds(_limits.MaxUploadSeconds), cancellationToken),
                cancellationToken
            );
        }
        catch (VoiceException e)
        {
            throw OpenAiErrors.Invalid(name, e.Message, "unusable_recording");
        }

        return recording.Duration.TotalSeconds >= ShortestSeconds
            ? recording
            : throw OpenAiErrors.Invalid(
                name,
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"The recording lasts {recording.Duration.TotalSeconds:0.###} s, expected {ShortestSeconds} s at least."
                ),
                "unusable_recording"
            );
    }
}
