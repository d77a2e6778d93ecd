using System.ComponentModel;
using System.ComponentModel.DataAnnotations;
using System.Text.Json;
using System.Text.Json.Serialization;
using Chatterbox.Engine;

namespace Chatterbox.Service.OpenAi;

/// <summary>What <c>POST /v1/audio/speech</c> takes.</summary>
/// <param name="Model">Name of a model; GET /v1/models lists them.</param>
/// <param name="Input">What to say, at most 4096 characters; <c>[pause:1.5s]</c> is a pause.</param>
/// <param name="Voice">Name of a voice, with or without extension; or <c>{"id": name}</c>; or <c>{"audio": "data:audio/wav;base64,…"}</c>,
/// a recording of it, where Voices:UploadsEnabled is set.</param>
/// <param name="ResponseFormat">mp3, opus, aac, flac, wav, pcm (16 bit, mono, little-endian), ulaw or alaw; srt or vtt for subtitles
/// without the sound.</param>
/// <param name="Speed">Tempo, 0.25 to 4; the pitch stays.</param>
/// <param name="StreamFormat">audio for the bytes themselves, sse for events, json for one object once all is generated.</param>
/// <param name="Instructions">Accepted and ignored; the header X-Chatterbox-Ignored says so.</param>
/// <param name="Exaggeration">How lively the speech is, 0 to 2; 0.5 is neutral.</param>
/// <param name="CfgWeight">Strength of guidance by the text, 0 to 2.</param>
/// <param name="Temperature">0 always takes the likeliest speech token; 0 to 5.</param>
/// <param name="TopP">Keeps the likeliest speech tokens that together reach this probability; above 0, to 1.</param>
/// <param name="MinP">Drops speech tokens less likely than this fraction of the likeliest; 0 to 1.</param>
/// <param name="TopK">Keeps this many of the likeliest speech tokens; 0 keeps all.</param>
/// <param name="RepetitionPenalty">Makes speech tokens that were spoken already less likely; 1 to 10.</param>
/// <param name="BlockSize">Speech tokens that are filled in together, 1 to 128; models whose speech comes in blocks.</param>
/// <param name="BlockSteps">Most passes over a block, 1 to 128.</param>
/// <param name="TimeShift">How readily a pass takes more tokens than its share, 0 to 1.</param>
/// <param name="ScheduleShift">How the tokens of a block are shared among its passes, 0 to 10; less leaves more to later ones.</param>
/// <param name="PositionTemperature">0 takes the tokens of a block in the order of sureness, more with noise; 0 to 100.</param>
/// <param name="FixedPrior">Whether sureness is measured without text and voice, or against the other tokens of the block.</param>
/// <param name="Seed">The same seed gives the same speech; one is drawn if none is given, and the header X-Chatterbox-Seed tells
/// it.</param>
/// <param name="Language">Code of the language, for models that speak several.</param>
/// <param name="Chunk">True to send speech while its sentence is still being generated; false to generate each piece whole first, so that
/// one that went wrong can be generated again. A wav file is then sent once it is complete.</param>
/// <param name="Stream">False to send the audio once it is complete, with its length; true to send it while it is generated, in the form
/// that <c>stream_format</c> names.</param>
/// <param name="SampleRate">Samples a second (Hz): 8000, 16000, 22050, 24000, 44100 or 48000; 24000 if none is given, 8000 for ulaw and
/// alaw.</param>
/// <param name="TimestampGranularities">sentence, or sentence and word: events and JSON say when each sentence is heard. The text is then
/// spoken sentence by sentence. Times of words are null: no model gives them reliably.</param>
/// <param name="Normalize">Whether numbers, dates, amounts, units, addresses and abbreviations are written out as words: true or "on",
/// false or "off"; "auto", and none, leave it to the setting Text:Normalize, which does so in English.</param>
/// <param name="Markup">skip leaves marks of Markdown, code blocks and emoji out of the speech, keep reads them; the setting
/// Text:SkipMarkup if none is given.</param>
/// <param name="Pronunciations">Words and how they are respelled, in addition to those of the settings; a word with capitals stands for
/// itself only.</param>
internal sealed record SpeechBody(
    string Model,
    [property: MaxLength(4096)] string Input,
    [property: JsonConverter(typeof(VoiceChoiceConverter))] VoiceChoice Voice,
    [property: DefaultValue("mp3"), AllowedValues("mp3", "opus", "aac", "flac", "wav", "pcm", "ulaw", "alaw", "srt", "vtt")]
        string ResponseFormat = "mp3",
    [property: DefaultValue(1.0), Range(0.25, 4.0)] double Speed = 1,
    [property: DefaultValue("audio"), AllowedValues("audio", "sse", "json")] string StreamFormat = "audio",
    string? Instructions = null,
    [property: Range(0.0, 2.0)] double? Exaggeration = null,
    [property: Range(0.0, 2.0)] double? CfgWeight = null,
    [property: Range(0.0, 5.0)] double? Temperature = null,
    [property: Range(0.0, 1.0, MinimumIsExclusive = true)] double? TopP = null,
    [property: Range(0.0, 1.0)] double? MinP = null,
    [property: Range(0, 100_000)] int? TopK = null,
    [property: Range(1.0, 10.0)] double? RepetitionPenalty = null,
    [property: Range(1, 128)] int? BlockSize = null,
    [property: Range(1, 128)] int? BlockSteps = null,
    [property: Range(0.0, 1.0)] double? TimeShift = null,
    [property: Range(0.0, 10.0)] double? ScheduleShift = null,
    [property: Range(0.0, 100.0)] double? PositionTemperature = null,
    bool? FixedPrior = null,
    long? Seed = null,
    string? Language = null,
    [property: DefaultValue(true)] bool Chunk = true,
    [property: DefaultValue(true)] bool Stream = true,
    [property: Range(8_000, 48_000)] int? SampleRate = null,
    IReadOnlyList<string>? TimestampGranularities = null,
    [property: JsonConverter(typeof(NormalizeConverter))] bool? Normalize = null,
    [property: AllowedValues("keep", "skip")] string? Markup = null,
    IReadOnlyDictionary<string, string>? Pronunciations = null
)
{
    /// <summary>Fields beyond these, by name.</summary>
    [JsonExtensionData]
    public Dictionary<string, JsonElement>? Others { get; set; }
}

/// <summary>One event of a speech stream.</summary>
[JsonDerivedType(typeof(SpeechDelta))]
[JsonDerivedType(typeof(SpokenSentence))]
[JsonDerivedType(typeof(SpeechDone))]
[JsonDerivedType(typeof(SpeechError))]
internal abstract record SpeechStreamEvent;

/// <summary>The next bytes of audio.</summary>
/// <param name="Type">speech.audio.delta.</param>
/// <param name="Audio">Bytes in the format asked for, in base64.</param>
internal sealed record SpeechDelta(string Type, ReadOnlyMemory<byte> Audio) : SpeechStreamEvent;

/// <summary>A sentence that has been generated to its end.</summary>
/// <param name="Type">speech.audio.sentence.</param>
/// <param name="Text">The sentence.</param>
/// <param name="StartSeconds">From the beginning of the audio to its first sample.</param>
/// <param name="EndSeconds">To its last.</param>
/// <param name="Words">Null: the times of words are not known.</param>
internal sealed record SpokenSentence(
    string Type,
    string Text,
    double StartSeconds,
    double EndSeconds,
    IReadOnlyList<SentenceTime>? Words = null
) : SpeechStreamEvent;

/// <summary>The last event.</summary>
/// <param name="Type">speech.audio.done.</param>
/// <param name="Usage">Tokens of the request.</param>
/// <param name="Repairs">What was done to speech that went wrong; left out if nothing.</param>
internal sealed record SpeechDone(
    string Type,
    SpeechUsage Usage,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] IReadOnlyList<string>? Repairs = null
) : SpeechStreamEvent;

/// <summary>The speech ends here, incomplete.</summary>
/// <param name="Type">error.</param>
/// <param name="Error">Why.</param>
internal sealed record SpeechError(string Type, OpenAiError Error) : SpeechStreamEvent;

/// <summary>Speech in one object.</summary>
/// <param name="Audio">Bytes in the format asked for, in base64.</param>
/// <param name="MediaType">Their type.</param>
/// <param name="Usage">Tokens of the request.</param>
/// <param name="Timestamps">When each sentence is heard; left out unless asked for.</param>
/// <param name="Repairs">What was done to speech that went wrong; left out if nothing.</param>
internal sealed record SpeechObject(
    ReadOnlyMemory<byte> Audio,
    string MediaType,
    SpeechUsage Usage,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] SpeechTimes? Timestamps = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] IReadOnlyList<string>? Repairs = null
);

/// <summary>When the parts of some speech are heard.</summary>
/// <param name="Sentences">Its sentences.</param>
/// <param name="Words">Null: the times of words are not known.</param>
internal sealed record SpeechTimes(IReadOnlyList<SentenceTime> Sentences, IReadOnlyList<SentenceTime>? Words = null);

/// <summary>When a sentence is heard.</summary>
/// <param name="Text">The sentence.</param>
/// <param name="StartSeconds">From the beginning of the audio to its first sample.</param>
/// <param name="EndSeconds">To its last.</param>
internal sealed record SentenceTime(string Text, double StartSeconds, double EndSeconds);

/// <summary>Tokens of a request.</summary>
/// <param name="InputTokens">Text tokens.</param>
/// <param name="OutputTokens">Speech tokens.</param>
/// <param name="TotalTokens">Both.</param>
internal sealed record SpeechUsage(int InputTokens, int OutputTokens, int TotalTokens)
{
    /// <summary>Those of some speech.</summary>
    public static SpeechUsage Of(JoinedSpeech speech) =>
        new(speech.TextTokens, speech.SpeechTokens, speech.TextTokens + speech.SpeechTokens);
}

/// <summary>The models that there are.</summary>
internal sealed record ModelList(string Object, IReadOnlyList<ModelEntry> Data);

/// <summary>The models that speak.</summary>
internal sealed record SpeechModelList(IReadOnlyList<ModelEntry> Models);

/// <summary>A model.</summary>
/// <param name="Id">What requests call it.</param>
/// <param name="Object">model.</param>
/// <param name="Created">When the service was started, in seconds since 1970.</param>
/// <param name="OwnedBy">resemble-ai.</param>
/// <param name="State">unloaded, loading, ready or failed; one that is unloaded is loaded for the first who asks for it.</param>
/// <param name="IsDefault">Whether it is the one that /speak speaks with.</param>
/// <param name="Languages">Codes that the parameter language takes; empty if the model takes none.</param>
/// <param name="UnsupportedParameters">Parameters of requests for speech that the model does not have, and refuses.</param>
internal sealed record ModelEntry(
    string Id,
    string Object,
    long Created,
    string OwnedBy,
    string State,
    bool IsDefault,
    IReadOnlyList<string> Languages,
    IReadOnlyList<string> UnsupportedParameters
);

/// <summary>The voices that there are.</summary>
internal sealed record OpenAiVoiceList(IReadOnlyList<OpenAiVoice> Voices);

/// <summary>A voice.</summary>
/// <param name="Id">What requests call it.</param>
/// <param name="Name">The same.</param>
/// <param name="Type">built_in, recording, voice_file, or alias.</param>
/// <param name="AliasOf">The voice that an alias stands for.</param>
internal sealed record OpenAiVoice(
    string Id,
    string Name,
    string Type,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? AliasOf = null
);
