using Chatterbox.Audio.Ffmpeg;

namespace Chatterbox.Audio;

/// <summary>Reads recordings of any common format into one channel of float32 samples at the recording's own rate.</summary>
/// <remarks>Ports what librosa.load does before it resamples. WAV, FLAC, MP3, Ogg Opus and AIFF need nothing; Vorbis, M4A and others need
/// ffmpeg. The content decides what a file is, never its name.</remarks>
public static class AudioFile
{
    /// <summary>Longest recording accepted unless another limit is given.</summary>
    public static readonly TimeSpan DefaultLongest = TimeSpan.FromMinutes(10);

    // What cannot seek is copied to a file first: ten minutes of stereo at 192 kHz and 32 bits are 0.9 GB.
    private const long MostStreamBytes = 1L << 30;

    /// <summary>Reads a recording of at most <see cref="DefaultLongest"/>.</summary>
    /// <inheritdoc cref="Load(string, TimeSpan, CancellationToken)"/>
    public static AudioClip Load(string path, CancellationToken cancellationToken = default) =>
        Load(path, DefaultLongest, cancellationToken);

    /// <summary>Reads a recording.</summary>
    /// <param name="path">The file.</param>
    /// <param name="longest">Refuses a longer recording while it is decoded.</param>
    /// <param name="cancellationToken">Ends the reading early, and ffmpeg with it.</param>
    /// <returns>All channels mixed to one, at the recording's rate.</returns>
    /// <exception cref="VoiceException">The recording is missing, empty, damaged, too long or no audio; or it needs ffmpeg, which is not
    /// installed.</exception>
    public static AudioClip Load(string path, TimeSpan longest, CancellationToken cancellationToken = default) =>
        Load(path, longest, new RecordingDecoder(new FfmpegProgram(FfmpegProgram.DefaultName)), cancellationToken);

    /// <summary>Reads a recording of at most <see cref="DefaultLongest"/> from a stream.</summary>
    /// <inheritdoc cref="Load(Stream, TimeSpan, CancellationToken)"/>
    public static AudioClip Load(Stream stream, CancellationToken cancellationToken = default) =>
        Load(stream, DefaultLongest, cancellationToken);

    /// <summary>Reads a recording from a stream.</summary>
    /// <param name="stream">The file's bytes from here on; left open. What cannot seek is copied to a temporary file.</param>
    /// <param name="longest">Refuses a longer recording while it is decoded.</param>
    /// <param name="cancellationToken">Ends the reading early, and ffmpeg with it.</param>
    /// <inheritdoc cref="Load(string, TimeSpan, CancellationToken)"/>
    public static AudioClip Load(Stream stream, TimeSpan longest, CancellationToken cancellationToken = default) =>
        Load(stream, longest, new RecordingDecoder(new FfmpegProgram(FfmpegProgram.DefaultName)), cancellationToken);

    /// <summary>Reads a recording with a chosen decoder.</summary>
    /// <inheritdoc cref="Load(string, TimeSpan, CancellationToken)"/>
    internal static AudioClip Load(string path, TimeSpan longest, RecordingDecoder decoder, CancellationToken cancellationToken)
    {
        using var file = OpenRead(path);
        return Load(file, new RecordingSource(Path.GetFileName(path), longest, cancellationToken), decoder);
    }

    /// <summary>Reads a recording from a stream with a chosen decoder.</summary>
    /// <inheritdoc cref="Load(Stream, TimeSpan, CancellationToken)"/>
    internal static AudioClip Load(Stream stream, TimeSpan longest, RecordingDecoder decoder, CancellationToken cancellationToken) =>
        Load(stream, new RecordingSource("The recording", longest, cancellationToken), decoder);

    /// <summary>Opens a recording.</summary>
    /// <exception cref="VoiceException">It cannot be opened.</exception>
    internal static FileStream OpenRead(string path)
    {
        try
        {
            return File.OpenRead(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new VoiceException(
                $"{path}: the recording cannot be opened. {e.Message} Give the path of a file that exists and may be read.",
                e
            );
        }
    }

    /// <summary>Says that a recording is longer than allowed.</summary>
    internal static string TooLong(string lasts, double seconds, double longestSeconds) =>
        $"{lasts} {TimeSpan.FromSeconds(Math.Ceiling(seconds)):c}, expected at most {TimeSpan.FromSeconds(longestSeconds):c}. Cut out a "
        + $"part with the voice.";

    private static AudioClip Load(Stream stream, RecordingSource source, RecordingDecoder decoder)
    {
        if (stream.CanSeek)
        {
            return decoder.Decode(stream, source);
        }

        var options = new FileStreamOptions
        {
            Mode = FileMode.CreateNew,
            Access = FileAccess.ReadWrite,
            Options = FileOptions.DeleteOnClose,
        };
        if (!OperatingSystem.IsWindows())
        {
            options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        }

        using var copy = new FileStream(Path.Combine(Path.GetTempPath(), $"chatterbox-{Guid.NewGuid():N}"), options);
        Copy(stream, copy, source);
        return decoder.Decode(copy, source);
    }

    private static void Copy(Stream stream, FileStream copy, RecordingSource source)
    {
        var block = new byte[65536];
        for (int read; (read = stream.Read(block)) > 0; )
        {
            source.Cancel.ThrowIfCancellationRequested();
            if (copy.Position + read > MostStreamBytes)
            {
                throw new VoiceException($"{source.Name}: it has more than {MostStreamBytes} bytes. Cut out a part with the voice.");
            }

            copy.Write(block.AsSpan(0, read));
        }

        copy.Position = 0;
    }
}
