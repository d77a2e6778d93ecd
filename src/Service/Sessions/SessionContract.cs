using System.Text.Json.Serialization;
using Chatterbox.Service.OpenAi;

namespace Chatterbox.Service.Sessions;

/// <summary>The message that begins a session, and may change it while nothing is being spoken: the parameters of
/// <c>POST /v1/audio/speech</c>, and how audio comes.</summary>
/// <param name="Type">session.</param>
/// <param name="Model">Name of a model; the default one if none is given.</param>
/// <param name="Voice">Name of a voice, with or without extension; or <c>{"id": name}</c>.</param>
/// <param name="ResponseFormat">pcm (16 bit, mono, little-endian), wav, mp3, opus, aac, flac, ulaw or alaw.</param>
/// <param name="Audio">binary for frames of bytes, base64 for messages.</param>
/// <param name="Speed">Tempo, 0.25 to 4; the pitch stays.</param>
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
/// <param name="Seed">The same seed gives the same text the same speech, however its messages are cut; one is drawn if none is
/// given.</param>
/// <param name="Language">Code of the language, for models that speak several.</param>
/// <param name="Chunk">True to send speech while its sentence is still being made.</param>
/// <param name="SampleRate">Samples a second (Hz), 8000 to 48000; 24000 if none is given, 8000 for ulaw and alaw.</param>
/// <param name="Normalize">Whether numbers, dates, amounts, units, addresses and abbreviations are written out as words; auto leaves it to
/// the setting.</param>
/// <param name="Markup">skip leaves marks of Markdown, code blocks and emoji out, keep reads them.</param>
/// <param name="Pronunciations">Words and how they are respelled.</param>
[JsonUnmappedMemberHandling(JsonUnmappedMemberHandling.Disallow)]
internal sealed record SessionSettings(
    string Type,
    string? Model = null,
    [property: JsonConverter(typeof(VoiceChoiceConverter))] VoiceChoice? Voice = null,
    string ResponseFormat = "pcm",
    string Audio = "binary",
    double Speed = 1,
    double? Exaggeration = null,
    double? CfgWeight = null,
    double? Temperature = null,
    double? TopP = null,
    double? MinP = null,
    int? TopK = null,
    double? RepetitionPenalty = null,
    int? BlockSize = null,
    int? BlockSteps = null,
    double? TimeShift = null,
    double? ScheduleShift = null,
    double? PositionTemperature = null,
    bool? FixedPrior = null,
    long? Seed = null,
    string? Language = null,
    bool Chunk = true,
    int? SampleRate = null,
    [property: JsonConverter(typeof(NormalizeConverter))] bool? Normalize = null,
    string? Markup = null,
    IReadOnlyDictionary<string, string>? Pronunciations = null
)
{
    /// <summary>The same settings as a request for speech.</summary>
    public SpeechBody Saying(string model, string text) =>
        new(
            model,
            text,
            Voice ?? VoiceChoice.Default,
            ResponseFormat,
            Speed,
            "audio",
            Instructions: null,
            Exaggeration,
            CfgWeight,
            Temperature,
            TopP,
            MinP,
            TopK,
            RepetitionPenalty,
            BlockSize,
            BlockSteps,
            TimeShift,
            ScheduleShift,
            PositionTemperature,
            FixedPrior,
            Seed,
            Language,
            Chunk,
            SampleRate: SampleRate,
            Normalize: Normalize,
            Markup: Markup,
            Pronunciations: Pronunciations
        );
}

/// <summary>More of the text.</summary>
/// <param name="Type">text.</param>
/// <param name="Text">The next characters, as they were written: a token of a language model, a word, a page.</param>
[JsonUnmappedMemberHandling(JsonUnmappedMemberHandling.Disallow)]
internal sealed record SessionText(string Type, string Text);

/// <summary>A message without content.</summary>
/// <param name="Type">flush, cancel or end.</param>
[JsonUnmappedMemberHandling(JsonUnmappedMemberHandling.Disallow)]
internal sealed record SessionOrder(string Type);

/// <summary>A message of the service in a session.</summary>
[JsonDerivedType(typeof(SessionReady))]
[JsonDerivedType(typeof(SentenceBegun))]
[JsonDerivedType(typeof(SessionAudio))]
[JsonDerivedType(typeof(SentenceDone))]
[JsonDerivedType(typeof(SessionFlushed))]
[JsonDerivedType(typeof(SessionCancelled))]
[JsonDerivedType(typeof(SessionError))]
[JsonDerivedType(typeof(SessionDone))]
internal abstract record SessionEvent;

/// <summary>The session accepts text.</summary>
/// <param name="RequestId">What the log calls the session.</param>
/// <param name="Model">Who speaks.</param>
/// <param name="SampleRate">Samples a second of pcm and wav, Hz.</param>
/// <param name="Seed">The seed of the first piece of text; each that follows has the next one.</param>
/// <param name="Type">session.ready.</param>
internal sealed record SessionReady(
    string RequestId,
    string Model,
    int SampleRate,
    long Seed,
    [property: JsonPropertyOrder(-1)] string Type = "session.ready"
) : SessionEvent;

/// <summary>A sentence is next.</summary>
/// <param name="Index">Index of the sentence in the session, from 0.</param>
/// <param name="Text">The sentence.</param>
/// <param name="Type">sentence.</param>
internal sealed record SentenceBegun(int Index, string Text, [property: JsonPropertyOrder(-1)] string Type = "sentence") : SessionEvent;

/// <summary>The next bytes of audio, where they do not come as frames.</summary>
/// <param name="Audio">Bytes in the format asked for, in base64.</param>
/// <param name="Type">audio.</param>
internal sealed record SessionAudio(ReadOnlyMemory<byte> Audio, [property: JsonPropertyOrder(-1)] string Type = "audio") : SessionEvent;

/// <summary>A sentence has been spoken to its end.</summary>
/// <param name="Index">Index of the sentence.</param>
/// <param name="AudioSeconds">Length of its speech, with the pause before it.</param>
/// <param name="Usage">Tokens of the sentence.</param>
/// <param name="Repairs">What was done to speech that went wrong; left out if nothing.</param>
/// <param name="Type">sentence.done.</param>
internal sealed record SentenceDone(
    int Index,
    double AudioSeconds,
    SpeechUsage Usage,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] IReadOnlyList<string>? Repairs,
    [property: JsonPropertyOrder(-1)] string Type = "sentence.done"
) : SessionEvent;

/// <summary>All audio of the text before a flush has been sent.</summary>
/// <param name="Type">flushed.</param>
internal sealed record SessionFlushed(string Type = "flushed") : SessionEvent;

/// <summary>What was being spoken, or would have been, is dropped; no more audio of it comes.</summary>
/// <param name="Sentences">Those not spoken to their end, in order.</param>
/// <param name="Text">What had come of the sentence behind them.</param>
/// <param name="Type">cancelled.</param>
internal sealed record SessionCancelled(
    IReadOnlyList<DroppedSentence> Sentences,
    string Text,
    [property: JsonPropertyOrder(-1)] string Type = "cancelled"
) : SessionEvent;

/// <summary>A sentence not spoken to its end.</summary>
/// <param name="Index">Index of the sentence.</param>
/// <param name="Text">The sentence.</param>
/// <param name="AudioSeconds">How much of its speech was sent.</param>
internal sealed record DroppedSentence(int Index, string Text, double AudioSeconds);

/// <summary>A message could not be taken, or a sentence not be spoken; the session goes on unless it is closed behind this.</summary>
/// <param name="Error">Why, as OpenAI's clients know it.</param>
/// <param name="Index">Index of the sentence, where it is about one.</param>
/// <param name="RetryAfter">Seconds after which it is worth trying again, where it is.</param>
/// <param name="Type">error.</param>
internal sealed record SessionError(
    OpenAiError Error,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] int? Index = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] double? RetryAfter = null,
    [property: JsonPropertyOrder(-1)] string Type = "error"
) : SessionEvent;

/// <summary>Everything has been spoken; the connection closes.</summary>
/// <param name="Usage">Tokens of the session.</param>
/// <param name="Type">done.</param>
internal sealed record SessionDone(SpeechUsage Usage, [property: JsonPropertyOrder(-1)] string Type = "done") : SessionEvent;
