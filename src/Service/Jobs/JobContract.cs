using System.ComponentModel;
using System.ComponentModel.DataAnnotations;
using System.Text.Json;
using System.Text.Json.Serialization;
using Chatterbox.Service.Jobs.Books;
using Chatterbox.Service.OpenAi;

namespace Chatterbox.Service.Jobs;

/// <summary>What <c>POST /v1/audio/jobs</c> takes as JSON. Its other fields are those of <c>POST /v1/audio/speech</c>, <c>model</c>,
/// <c>voice</c>,
/// <c>language</c>, <c>seed</c>, <c>speed</c> and the settings of the sampling among them; all may be left out.</summary>
/// <param name="Input">The text, 1 MiB at most (Jobs:MaxTextBytes).</param>
/// <param name="TextFormat">text, or markdown, whose headings of the first two levels begin chapters.</param>
/// <param name="Title">Title of the audiobook; that of the text unless given.</param>
/// <param name="ResponseFormat">mp3, opus, flac, wav, pcm, ulaw, alaw, m4b (an audiobook with chapters; a zip without ffmpeg) or zip (an
/// MP3 for each chapter).</param>
internal sealed record JobBody(
    string Input,
    [property: DefaultValue("text"), AllowedValues("text", "markdown")] string TextFormat = "text",
    string? Title = null,
    [property: DefaultValue("mp3"), AllowedValues("mp3", "opus", "flac", "wav", "pcm", "ulaw", "alaw", "m4b", "zip")]
        string ResponseFormat = "mp3"
)
{
    /// <summary>Fields of the speech route, by name.</summary>
    [JsonExtensionData]
    public Dictionary<string, JsonElement>? Fields { get; set; }
}

/// <summary>A long text on its way to a file.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Object">audio.job.</param>
/// <param name="State">queued, running, paused, done, failed, or deleted in the last event of one that was deleted.</param>
/// <param name="Title">Its title.</param>
/// <param name="Model">The model.</param>
/// <param name="Voice">The voice.</param>
/// <param name="ResponseFormat">Format of the result.</param>
/// <param name="Seed">Its seed; piece i has the seed plus i.</param>
/// <param name="CreatedAt">When it was created, in seconds since 1970.</param>
/// <param name="ExpiresAt">When it is deleted, in seconds since 1970; null while it is worked on.</param>
/// <param name="PiecesDone">Pieces of the text that have been generated.</param>
/// <param name="PiecesTotal">Pieces of the text; when all are done, the file is written.</param>
/// <param name="Seconds">Seconds of speech that have been generated.</param>
/// <param name="Chapters">Its chapters.</param>
/// <param name="Waiting">Why it does not continue at present, such as a full queue; null where it does.</param>
/// <param name="Error">Why it failed, or null. <c>POST …/resume</c> tries again.</param>
/// <param name="Result">Its file, or null before it is done.</param>
internal sealed record Job(
    string Id,
    string Object,
    string State,
    string Title,
    string Model,
    string Voice,
    string ResponseFormat,
    long Seed,
    long CreatedAt,
    long? ExpiresAt,
    int PiecesDone,
    int PiecesTotal,
    double Seconds,
    IReadOnlyList<JobChapter> Chapters,
    string? Waiting = null,
    OpenAiError? Error = null,
    JobFile? Result = null
);

/// <summary>A chapter of a job.</summary>
/// <param name="Title">Its title.</param>
/// <param name="PiecesDone">Pieces of it that have been generated.</param>
/// <param name="PiecesTotal">Pieces of it.</param>
internal sealed record JobChapter(string Title, int PiecesDone, int PiecesTotal);

/// <summary>The file of a job that is done.</summary>
/// <param name="Url">Its path.</param>
/// <param name="MediaType">Its type.</param>
/// <param name="Bytes">Its length.</param>
internal sealed record JobFile(string Url, string MediaType, long Bytes);

/// <summary>The jobs of a client.</summary>
/// <param name="Object">list.</param>
/// <param name="Data">The jobs, the newest first.</param>
internal sealed record JobList(string Object, IReadOnlyList<Job> Data);

/// <summary>What a job is to do: written once, when it is created.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Owner">Who may see it; empty for everyone.</param>
/// <param name="Client">Who sent it, for a fair order.</param>
/// <param name="CreatedAt">When.</param>
/// <param name="Book">The text.</param>
/// <param name="Model">The model.</param>
/// <param name="VoiceFile">Name, in the job's folder, of the copy of the voice's file; null for the model's own voice.</param>
/// <param name="Format">Format of the result.</param>
/// <param name="Speech">How it is spoken, with the seed and the name of the voice, without the text.</param>
internal sealed record JobPlan(
    string Id,
    string Owner,
    string Client,
    DateTimeOffset CreatedAt,
    SpokenBook Book,
    string Model,
    string? VoiceFile,
    JobFormat Format,
    SpeechBody Speech
)
{
    /// <summary>Its pieces, in order.</summary>
    [JsonIgnore]
    public IReadOnlyList<string> Pieces => field ??= [.. Book.Chapters.SelectMany(chapter => chapter.Plan.Pieces)];
}

/// <summary>Where a job stands, as it is kept: rewritten when it changes.</summary>
/// <param name="State">What is to be done with it.</param>
/// <param name="Changed">Since when.</param>
/// <param name="Error">Why it failed.</param>
internal sealed record JobRecord(JobState State, DateTimeOffset Changed, OpenAiError? Error = null);

/// <summary>Whether a job is worked on.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<JobState>))]
internal enum JobState
{
    /// <summary>It is, or will be.</summary>
    Active,

    /// <summary>Not until it is resumed.</summary>
    Paused,

    /// <summary>Its file is complete.</summary>
    Done,

    /// <summary>It could not be continued; resuming it tries again.</summary>
    Failed,
}
