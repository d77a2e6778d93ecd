using System.Text.Json.Serialization;

namespace Chatterbox.Service.VllmOmni;

/// <summary>More of the text.</summary>
/// <param name="Type">input.text.</param>
/// <param name="Text">The next characters.</param>
internal sealed record OmniText(string Type, string Text);

/// <summary>A message of the service.</summary>
[JsonDerivedType(typeof(OmniAudioStart))]
[JsonDerivedType(typeof(OmniAudioDone))]
[JsonDerivedType(typeof(OmniDone))]
[JsonDerivedType(typeof(OmniError))]
internal abstract record OmniEvent;

/// <summary>The audio of a sentence is next.</summary>
/// <param name="UtteranceIndex">Index of the text up to an input.done.</param>
/// <param name="SentenceIndex">Index of the sentence in it.</param>
/// <param name="SentenceText">The sentence.</param>
/// <param name="Format">The form of its audio.</param>
/// <param name="SampleRate">Samples a second (Hz).</param>
/// <param name="Type">audio.start.</param>
internal sealed record OmniAudioStart(
    int UtteranceIndex,
    int SentenceIndex,
    string SentenceText,
    string Format,
    int SampleRate,
    [property: JsonPropertyOrder(-1)] string Type = "audio.start"
) : OmniEvent;

/// <summary>All of a sentence's audio has been sent.</summary>
/// <param name="UtteranceIndex">As of its beginning.</param>
/// <param name="SentenceIndex">As of its beginning.</param>
/// <param name="TotalBytes">Bytes of its audio.</param>
/// <param name="Error">Whether it could not be spoken to its end.</param>
/// <param name="Type">audio.done.</param>
internal sealed record OmniAudioDone(
    int UtteranceIndex,
    int SentenceIndex,
    long TotalBytes,
    bool Error,
    [property: JsonPropertyOrder(-1)] string Type = "audio.done"
) : OmniEvent;

/// <summary>The text up to an input.done has been spoken, or dropped.</summary>
/// <param name="UtteranceIndex">Its index.</param>
/// <param name="TotalSentences">Sentences of it that were begun.</param>
/// <param name="Type">session.done.</param>
internal sealed record OmniDone(int UtteranceIndex, int TotalSentences, [property: JsonPropertyOrder(-1)] string Type = "session.done")
    : OmniEvent;

/// <summary>A message could not be taken, or a sentence not be spoken.</summary>
/// <param name="Message">Why.</param>
/// <param name="Type">error.</param>
internal sealed record OmniError(string Message, [property: JsonPropertyOrder(-1)] string Type = "error") : OmniEvent;
