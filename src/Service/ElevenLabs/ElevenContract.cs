using System.Text.Json.Serialization;
using Chatterbox.Service.OpenAi;

namespace Chatterbox.Service.ElevenLabs;

/// <summary>How a voice speaks. What has no counterpart here (similarity_boost, use_speaker_boost) has no effect.</summary>
/// <param name="Stability">How even the speech is, 0 to 1; 0.5 is the model's usual temperature.</param>
/// <param name="Style">How lively it is, 0 to 1; 0 is neutral.</param>
/// <param name="Speed">Tempo.</param>
internal sealed record ElevenVoiceSettings(double? Stability = null, double? Style = null, double? Speed = null);

/// <summary>What the routes of a complete text take; other fields have no effect.</summary>
/// <param name="Text">What to say.</param>
/// <param name="ModelId">Name of a model; the default one speaks for any other.</param>
/// <param name="LanguageCode">Code of the language, for models that speak several.</param>
/// <param name="VoiceSettings">How the voice speaks.</param>
/// <param name="Seed">The same seed gives the same speech.</param>
/// <param name="ApplyTextNormalization">on and off write numbers, dates, … out as words or leave them; auto leaves it to the setting
/// Text:Normalize.</param>
internal sealed record ElevenBody(
    string Text,
    string? ModelId = null,
    string? LanguageCode = null,
    ElevenVoiceSettings? VoiceSettings = null,
    long? Seed = null,
    string? ApplyTextNormalization = null
);

/// <summary>A message of a client over a WebSocket; each field is optional, and other ones have no effect.</summary>
/// <param name="Text">The next characters; a single space is no text.</param>
/// <param name="ContextId">Which of the texts it is about, where there are several.</param>
/// <param name="Flush">Whether what has come is spoken, complete or not.</param>
/// <param name="CloseContext">Whether a text ends.</param>
/// <param name="CloseSocket">Whether the connection ends.</param>
/// <param name="VoiceSettings">How the voice speaks, in the first message of a text.</param>
/// <param name="XiApiKey">The key, in the first message of a connection.</param>
internal sealed record ElevenMessage(
    string? Text = null,
    string? ContextId = null,
    bool? Flush = null,
    bool? CloseContext = null,
    bool? CloseSocket = null,
    ElevenVoiceSettings? VoiceSettings = null,
    string? XiApiKey = null
);

/// <summary>A message of the service over a WebSocket.</summary>
[JsonDerivedType(typeof(ElevenAudio))]
[JsonDerivedType(typeof(ElevenFinal))]
[JsonDerivedType(typeof(ElevenFailure))]
internal abstract record ElevenEvent;

/// <summary>The next bytes of audio.</summary>
/// <param name="Audio">The bytes, in base64.</param>
/// <param name="ContextId">Which of the texts it is of, where there are several.</param>
/// <param name="IsFinal">Null: more may come.</param>
/// <param name="Alignment">When characters are spoken: not known, null.</param>
/// <param name="NormalizedAlignment">The same of the text as it is read: null.</param>
internal sealed record ElevenAudio(
    ReadOnlyMemory<byte> Audio,
    [property: JsonPropertyName("contextId"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? ContextId,
    [property: JsonPropertyName("isFinal")] bool? IsFinal = null,
    ElevenAlignment? Alignment = null,
    [property: JsonPropertyName("normalizedAlignment")] ElevenAlignment? NormalizedAlignment = null
) : ElevenEvent;

/// <summary>When characters are spoken.</summary>
internal sealed record ElevenAlignment(
    IReadOnlyList<string> Chars,
    [property: JsonPropertyName("charStartTimesMs")] IReadOnlyList<int> CharStartTimesMs,
    [property: JsonPropertyName("charDurationsMs")] IReadOnlyList<int> CharDurationsMs
);

/// <summary>Nothing more comes of a text.</summary>
internal sealed record ElevenFinal(
    [property: JsonPropertyName("contextId"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? ContextId,
    [property: JsonPropertyName("isFinal")] bool IsFinal = true
) : ElevenEvent;

/// <summary>A message could not be taken, or a sentence not be spoken.</summary>
/// <param name="Error">Short name of the reason.</param>
/// <param name="Message">Why.</param>
/// <param name="ContextId">Which of the texts it is about.</param>
internal sealed record ElevenFailure(
    string Error,
    string Message,
    [property: JsonPropertyName("contextId"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? ContextId = null
) : ElevenEvent;

/// <summary>Speech, or a part of it, with its times.</summary>
/// <param name="AudioBase64">Bytes in the format asked for.</param>
/// <param name="Sentences">The sentences that end in it, and when they are heard.</param>
/// <param name="Alignment">When characters are spoken: not known, null.</param>
/// <param name="NormalizedAlignment">The same of the text as it is read: null.</param>
internal sealed record ElevenTimedSpeech(
    [property: JsonPropertyName("audio_base64")] ReadOnlyMemory<byte> AudioBase64,
    IReadOnlyList<SentenceTime> Sentences,
    ElevenAlignment? Alignment = null,
    ElevenAlignment? NormalizedAlignment = null
);

/// <summary>The voices that there are.</summary>
internal sealed record ElevenVoiceList(IReadOnlyList<ElevenVoice> Voices);

/// <summary>A voice.</summary>
/// <param name="VoiceId">What requests call it.</param>
/// <param name="Name">The same.</param>
/// <param name="Category">premade for the default voice and other names of it, cloned for the others.</param>
/// <param name="Labels">None.</param>
/// <param name="PreviewUrl">None.</param>
internal sealed record ElevenVoice(
    string VoiceId,
    string Name,
    string Category,
    IReadOnlyDictionary<string, string> Labels,
    string? PreviewUrl = null
);

/// <summary>A model.</summary>
/// <param name="ModelId">What requests call it.</param>
/// <param name="Name">The same.</param>
/// <param name="CanDoTextToSpeech">Always.</param>
/// <param name="CanDoVoiceConversion">Always.</param>
/// <param name="Languages">Those that requests can choose from.</param>
internal sealed record ElevenModel(
    string ModelId,
    string Name,
    bool CanDoTextToSpeech,
    bool CanDoVoiceConversion,
    IReadOnlyList<ElevenLanguage> Languages
);

/// <summary>A language.</summary>
internal sealed record ElevenLanguage(string LanguageId, string Name);

/// <summary>An error as ElevenLabs' clients know it.</summary>
/// <param name="Detail">What was wrong.</param>
internal sealed record ElevenErrorBody(ElevenErrorDetail Detail);

/// <summary>What was wrong.</summary>
/// <param name="Status">Short name of the reason.</param>
/// <param name="Message">In words.</param>
internal sealed record ElevenErrorDetail(string Status, string Message);

/// <summary>Turns refusals into ElevenLabs' error object.</summary>
internal static class ElevenErrors
{
    /// <summary>The dialect.</summary>
    public static readonly Hosting.ErrorDialect Dialect = new(
        (http, refusal) =>
            http.Response.WriteAsJsonAsync(
                new ElevenErrorBody(new(refusal.Code ?? "invalid_request", refusal.Message)),
                Hosting.Json.Of<ElevenErrorBody>(),
                cancellationToken: http.RequestAborted
            )
    );
}
