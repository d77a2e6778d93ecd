using System.ComponentModel.DataAnnotations;

namespace Chatterbox.Service.Jobs;

/// <summary>Long texts as jobs (<c>/v1/audio/jobs</c>): where they are kept, how long, and how large they may be.</summary>
internal sealed class JobOptions
{
    /// <summary>Name of the section in the settings.</summary>
    public const string Section = "Jobs";

    /// <summary>Whether the routes of jobs are answered.</summary>
    public bool Enabled { get; set; } = true;

    /// <summary>Folder in which jobs are kept; empty for one inside <c>Service:AudioFolder</c>.</summary>
    public string Folder { get; set; } = "";

    /// <summary>Hours after its end, or its last pause, at which a job is deleted with its file; 0 sets no limit.</summary>
    [Range(0, 87_600)]
    public double KeepHours { get; set; } = 168;

    /// <summary>Most jobs, finished ones among them; the oldest finished ones are deleted for new ones. One client may have as many
    /// unfinished
    /// ones as stay free for others.</summary>
    [Range(1, 100_000)]
    public int MaxJobs { get; set; } = 100;

    /// <summary>Most bytes of all jobs; beyond it, the oldest finished ones are deleted, and then jobs fail until some are
    /// deleted.</summary>
    [Range(1L << 20, 1L << 45)]
    public long MaxBytes { get; set; } = 20L << 30;

    /// <summary>Longest text of a job, bytes in UTF-8.</summary>
    [Range(1024, 1 << 26)]
    public int MaxTextBytes { get; set; } = 1 << 20;

    /// <summary>Largest book that may be uploaded, bytes.</summary>
    [Range(1024, 1 << 30)]
    public long MaxUploadBytes { get; set; } = 20 << 20;

    /// <summary>Most bytes that a book may have when it is unpacked, pictures excepted.</summary>
    [Range(1024, 1 << 30)]
    public long MaxUnpackedBytes { get; set; } = 64 << 20;

    /// <summary>Pieces of text that are generated for jobs at once.</summary>
    [Range(1, 64)]
    public int PiecesAtOnce { get; set; } = 2;
}
