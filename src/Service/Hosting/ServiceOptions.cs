using System.ComponentModel.DataAnnotations;

namespace Chatterbox.Service.Hosting;

/// <summary>Address, folders and limits of the service.</summary>
internal sealed class ServiceOptions
{
    /// <summary>Name of the section in the settings.</summary>
    public const string Section = "Service";

    /// <summary>Address to listen on: <c>*</c> for every one of the machine's, <c>localhost</c> for this machine only; <c>auto</c> is
    /// <c>localhost</c> unless <c>Security:ApiKeys</c> are set or the service runs in a container.</summary>
    [Required]
    public string Address { get; set; } = DefaultAddress.Auto;

    /// <summary>Port to listen on; 0 takes any that is free.</summary>
    [Range(0, 65535)]
    public int Port { get; set; } = 8002;

    /// <summary>Folder of voices: recordings and voice files, by name.</summary>
    [Required]
    public string VoicesFolder { get; set; } = "/shared/reference_voices";

    /// <summary>Folder of finished files.</summary>
    [Required]
    public string AudioFolder { get; set; } = "/shared/audio";

    /// <summary>Most bytes of finished files; beyond it, those unused for longest are deleted.</summary>
    [Range(1L << 26, 1L << 45)]
    public long MaxAudioBytes { get; set; } = 10L << 30;

    /// <summary>Hours after its last use at which a finished file is deleted; 0 sets no limit.</summary>
    [Range(0, 87_600)]
    public double MaxAudioHours { get; set; }

    /// <summary>The ffmpeg program, by path or by name in PATH: for aac and m4b, and for recordings other than WAV, FLAC, MP3, Opus and
    /// AIFF.</summary>
    [Required]
    public string Ffmpeg { get; set; } = "ffmpeg";

    /// <summary>Most connections at once; 0 takes half of the files that the process may open besides its own, at most 10,000. One client may
    /// have as many of them as stay free for others.</summary>
    [Range(0, 1_000_000)]
    public int MaxConnections { get; set; }

    /// <summary>Seconds after which a client that reads nothing of its answer is disconnected, and its speech given up.</summary>
    [Range(2, 3600)]
    public double SlowReaderSeconds { get; set; } = 30;

    /// <summary>Largest request body, bytes; uploads of voices have a limit of their own.</summary>
    [Range(1024, 1 << 30)]
    public long MaxRequestBytes { get; set; } = 1 << 20;

    /// <summary>Most seconds that what has begun may take after the service was asked to stop; what is not done then ends with an
    /// error.</summary>
    [Range(0, 3600)]
    public double ShutdownSeconds { get; set; } = 30;

    /// <summary>Whether the texts of users are written to the log.</summary>
    public bool LogTexts { get; set; }
}
