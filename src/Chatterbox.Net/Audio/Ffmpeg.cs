using FFMpegCore;
using FFMpegCore.Enums;
using FFMpegCore.Pipes;

namespace Chatterbox.Audio;

/// <summary>Decodes what is not WAV with the ffmpeg and ffprobe installed on this computer.</summary>
internal static class Ffmpeg
{
    // Only what holds sound in itself: playlists and the like would have ffmpeg open other files and addresses.
    private const string Input = "-protocol_whitelist file "
        + "-format_whitelist aac,ac3,aiff,amr,ape,asf,au,avi,caf,eac3,flac,flv,matroska,mov,mp3,mpeg,mpegts,ogg,tta,w64,wav,wv";

    // Of 100. Noise in which a few MP3 headers are found by chance gets less, a bare MP3 or AAC stream 50.
    private const int LeastProbeScore = 25;

    /// <summary>Decodes the first audio stream of a file.</summary>
    /// <param name="path">Full path of the file, without double quotes.</param>
    /// <param name="name">What to call the file in errors.</param>
    /// <param name="longest">Refuses a longer recording before it is decoded.</param>
    /// <param name="cancel">Ends ffmpeg.</param>
    /// <exception cref="VoiceException">It is no audio, damaged or too long, or ffmpeg is not installed.</exception>
    public static AudioClip Decode(string path, string name, TimeSpan longest, CancellationToken cancel)
    {
        if (WhatIsMissing() is { } missing)
        {
            throw new VoiceException($"{name}: {missing}");
        }

        Probe(path, name, longest, cancel);
        return Convert(path, name, longest, cancel);
    }

    /// <summary>Says what is missing and how to get it; null where both tools are installed.</summary>
    /// <param name="searchPath">Folders to look in, as in PATH; null takes PATH and the folder configured for FFMpegCore.</param>
    public static string? WhatIsMissing(string? searchPath = null)
    {
        searchPath ??= $"{GlobalFFOptions.Current.BinaryFolder}{Path.PathSeparator}{Environment.GetEnvironmentVariable("PATH")}";
        var folders = searchPath.Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries);
        var extension = OperatingSystem.IsWindows() ? ".exe" : "";
        var missing = new[] { "ffmpeg", "ffprobe" }.Where(tool => !folders.Any(folder => File.Exists(Path.Combine(folder, tool + extension)))).ToArray();
        return missing.Length == 0
            ? null
            : $"recordings other than plain WAV are decoded by ffmpeg, but {string.Join(" and ", missing)} cannot be found in PATH. Install it (Linux: apt install "
                + "ffmpeg; Windows: winget install ffmpeg; macOS: brew install ffmpeg), or convert the recording to 16-bit WAV, which needs nothing.";
    }

    private static void Probe(string path, string name, TimeSpan longest, CancellationToken cancel)
    {
        IMediaAnalysis analysis;
        try
        {
            analysis = FFProbe.AnalyseAsync(path, customArguments: Input, cancellationToken: cancel).GetAwaiter().GetResult();
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            // Beside ffprobe's own refusals FFMpegCore trips over odd answers in its own ways.
            throw NoAudio(name, e);
        }

        if (analysis.PrimaryAudioStream is null || analysis.Format.ProbeScore < LeastProbeScore)
        {
            throw NoAudio(name);
        }

        if (analysis.Duration > longest)
        {
            throw new VoiceException($"{name}: {AudioFile.TooLong("it lasts", analysis.Duration.TotalSeconds, longest.TotalSeconds)}");
        }
    }

    // Through a pipe, as WAV of float32 samples: its header carries the rate and the channels, which are mixed here, as
    // ffmpeg weighs those of surround sound. The limit holds here too, for files that do not know their length.
    private static AudioClip Convert(string path, string name, TimeSpan longest, CancellationToken cancel)
    {
        Task<AudioClip>? reading = null;
        var sink = new StreamPipeSink((pipe, _) => reading = Task.Run(() => new WavReader(pipe, name, cancel).Read(longest), cancel));
        var result = FFMpegArguments
            .FromFileInput(path, verifyExists: false, options => options.WithCustomArgument(Input))
            .OutputToPipe(sink, options => options.WithCustomArgument("-map 0:a:0 -c:a pcm_f32le").ForceFormat("wav"))
            .WithLogLevel(FFMpegLogLevel.Error)
            .ProcessAsynchronously(throwOnError: false, cancellationToken: cancel)
            .GetAwaiter().GetResult();

        // Where the reader gave up, ffmpeg failed because of it: the reader's reason goes first.
        var clip = reading?.GetAwaiter().GetResult();
        return result.Success && clip is not null
            ? clip
            : throw new VoiceException($"{name}: ffmpeg cannot decode it ({string.Join(' ', result.StandardError.TakeLast(1))}). Convert it to 16-bit WAV, or choose another recording.");
    }

    private static VoiceException NoAudio(string name, Exception? cause = null) =>
        new($"{name}: ffmpeg finds no sound in it; expected a recording such as WAV, FLAC, MP3, Ogg or M4A. Choose another file.", cause);
}
