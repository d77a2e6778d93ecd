using System.ComponentModel;
using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;
using Chatterbox.Service.Hosting;

namespace Chatterbox.Service.Speak;

/// <summary>What <c>POST /speak</c> takes.</summary>
/// <param name="Text">The text; more than 1000 characters are cut at a sentence end.</param>
/// <param name="Voice">Name of a recording in the voices folder, without extension; an unknown name speaks with the default voice.</param>
/// <param name="Exaggeration">How lively the speech is, 0 to 2.</param>
/// <param name="CfgWeight">Strength of guidance by the text, 0 to 2.</param>
/// <param name="Stream">True for events sentence by sentence, false for a file.</param>
/// <param name="Chunk">True for events that come chunk by chunk, while the sentence is being generated; only with <c>stream</c>.</param>
/// <param name="Seed">The same seed gives the same speech; drawn unless given.</param>
internal sealed record SpeakRequest( // positional: generated JSON code drops the defaults of init-only properties
    string Text,
    [property: DefaultValue("default")] string Voice = "default",
    [property: DefaultValue(0.5), Range(0.0, 2.0)] double Exaggeration = 0.5,
    [property: DefaultValue(0.5), Range(0.0, 2.0)] double CfgWeight = 0.5,
    bool Stream = false,
    bool Chunk = false,
    long? Seed = null
);

/// <summary>One event of a <c>/speak</c> stream.</summary>
[JsonDerivedType(typeof(SpeakChunk))]
[JsonDerivedType(typeof(SpeakAudio))]
[JsonDerivedType(typeof(SpeakFailure))]
[JsonDerivedType(typeof(SpeakComplete))]
internal abstract record SpeakEvent;

/// <summary>A sentence, or a chunk of one, was generated; its audio is the next event.</summary>
/// <param name="ChunkIndex">Index of the sentence, from 0; with <c>chunk</c> that of the chunk, running over all sentences.</param>
/// <param name="TotalChunks">Number of sentences; with <c>chunk</c> how many chunks there are at least: those so far, and one for each
/// sentence that follows.</param>
/// <param name="Text">The sentence, for each of its chunks.</param>
/// <param name="AudioSize">Bytes of its WAV file.</param>
/// <param name="Status">success.</param>
/// <param name="SentenceIndex">Index of the sentence, from 0; only with <c>chunk</c>.</param>
/// <param name="TotalSentences">Number of sentences; only with <c>chunk</c>.</param>
/// <param name="Truncated">True in the first event where the text was cut; left out otherwise.</param>
internal sealed record SpeakChunk(
    int ChunkIndex,
    int TotalChunks,
    string Text,
    int AudioSize,
    string Status = "success",
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] int? SentenceIndex = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] int? TotalSentences = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] bool? Truncated = null
) : SpeakEvent;

/// <summary>The audio of a sentence, or of a chunk of one.</summary>
/// <param name="AudioData">A complete WAV file, in base64. The samples of chunks follow each other without a gap.</param>
/// <param name="ChunkIndex">As in the event before it.</param>
/// <param name="SentenceIndex">Index of the sentence, from 0; only with <c>chunk</c>.</param>
internal sealed record SpeakAudio(
    byte[] AudioData,
    int ChunkIndex,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] int? SentenceIndex = null
) : SpeakEvent;

/// <summary>A sentence could not be generated; with <c>chunk</c>, or not completely.</summary>
/// <param name="ChunkIndex">Index of the sentence, from 0; with <c>chunk</c> that of the chunk that is missing.</param>
/// <param name="Status">error.</param>
/// <param name="Message">What happened.</param>
/// <param name="SentenceIndex">Index of the sentence, from 0; only with <c>chunk</c>.</param>
/// <param name="Truncated">True in the first event where the text was cut; left out otherwise.</param>
internal sealed record SpeakFailure(
    int ChunkIndex,
    string Status = "error",
    string Message = "Failed to generate audio",
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] int? SentenceIndex = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] bool? Truncated = null
) : SpeakEvent;

/// <summary>The last event.</summary>
/// <param name="Status">complete.</param>
/// <param name="TotalChunks">Number of sentences; with <c>chunk</c> of chunks, those that failed too.</param>
internal sealed record SpeakComplete(string Status, int TotalChunks) : SpeakEvent;

/// <summary>Where the finished file is, and how it was made.</summary>
/// <param name="Status">success.</param>
/// <param name="AudioUrl">Address of the WAV file.</param>
/// <param name="Cloned">Whether a recording's voice was used.</param>
/// <param name="VoiceUsed">Name of the voice.</param>
/// <param name="Emotion">The exaggeration.</param>
/// <param name="TextLength">Characters spoken.</param>
/// <param name="Truncated">Whether the text was cut.</param>
internal sealed record SpeakSaved(
    string Status,
    string AudioUrl,
    bool Cloned,
    string VoiceUsed,
    double Emotion,
    int TextLength,
    bool Truncated
);

/// <summary>Why a request was refused.</summary>
/// <param name="Status">error.</param>
/// <param name="Detail">What was wrong.</param>
internal sealed record SpeakError(string Status, string Detail);

/// <summary>Voices that <c>/speak</c> knows.</summary>
/// <param name="Voices">Their names.</param>
/// <param name="Default">What speaks if none is named.</param>
internal sealed record VoiceList(IReadOnlyList<string> Voices, string Default);

/// <summary>Errors as <c>/speak</c>'s clients know them.</summary>
internal static class SpeakErrors
{
    /// <summary>The dialect.</summary>
    public static readonly ErrorDialect Dialect = new(
        (http, refusal) =>
            http.Response.WriteAsJsonAsync(
                new SpeakError("error", refusal.Message),
                Json.Of<SpeakError>(),
                cancellationToken: http.RequestAborted
            )
    );

    /// <summary>The text has nothing that could be spoken.</summary>
    public static RefusedException EmptyText => new(new Refusal(400, "Empty text after cleaning", "text", "empty_text"));

    /// <summary>A file could not be made.</summary>
    public static RefusedException Failed => new(new Refusal(500, "Failed to generate audio", Code: "failed"));
}
