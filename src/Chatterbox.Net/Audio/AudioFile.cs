namespace Chatterbox.Audio;

/// <summary>Reads recordings of any common format into one channel of float32 samples at the recording's own rate.</summary>
/// <remarks>Ports what librosa.load does before it resamples. WAV needs nothing; FLAC, MP3, Ogg, M4A and others need ffmpeg.
/// The content decides what a file is, never its name.</remarks>
public static class AudioFile
{
    /// <summary>Longest recording accepted unless another limit is given.</summary>
    public static readonly TimeSpan DefaultLongest = TimeSpan.FromMinutes(10);

    // What is not a file is copied to one for ffmpeg: ten minutes of stereo at 192 kHz and 32 bits are 0.9 GB.
    private const long MostStreamBytes = 1L << 30;

    /// <summary>Reads a recording of at most <see cref="DefaultLongest"/>.</summary>
    /// <inheritdoc cref="Load(string, TimeSpan, CancellationToken)"/>
    public static AudioClip Load(string path, CancellationToken cancel = default) => Load(path, DefaultLongest, cancel);

    /// <summary>Reads a recording.</summary>
    /// <param name="path">The file.</param>
    /// <param name="longest">Refuses a longer recording before it is decoded.</param>
    /// <param name="cancel">Ends the reading early, and ffmpeg with it.</param>
    /// <returns>All channels mixed to one, at the recording's rate.</returns>
    /// <exception cref="VoiceException">The recording is missing, empty, damaged, too long or no audio; or it is no WAV file and
    /// ffmpeg is not installed.</exception>
    public static AudioClip Load(string path, TimeSpan longest, CancellationToken cancel = default)
    {
        var name = Path.GetFileName(path);
        using var file = OpenRead(path);
        if (file.CanSeek && IsPlainWav(file, name, cancel))
        {
            return new WavReader(file, name, cancel).Read(longest);
        }

        // FFMpegCore puts the path between double quotes as it is.
        return !file.CanSeek || path.Contains('"', StringComparison.Ordinal) || path.EndsWith('\\')
            ? DecodeCopy(file, name, longest, cancel)
            : Ffmpeg.Decode(Path.GetFullPath(path), name, longest, cancel);
    }

    /// <summary>Reads a recording of at most <see cref="DefaultLongest"/> from a stream.</summary>
    /// <inheritdoc cref="Load(Stream, TimeSpan, CancellationToken)"/>
    public static AudioClip Load(Stream stream, CancellationToken cancel = default) => Load(stream, DefaultLongest, cancel);

    /// <summary>Reads a recording from a stream.</summary>
    /// <param name="stream">The file's bytes from here on; left open. What is not plain WAV is copied to a temporary file, as is
    /// what cannot seek: ffmpeg must seek for the index of M4A and for the length of MP3 and Ogg.</param>
    /// <param name="longest">Refuses a longer recording before it is decoded.</param>
    /// <param name="cancel">Ends the reading early, and ffmpeg with it.</param>
    /// <inheritdoc cref="Load(string, TimeSpan, CancellationToken)"/>
    public static AudioClip Load(Stream stream, TimeSpan longest, CancellationToken cancel = default)
    {
        const string Name = "The recording";
        return stream.CanSeek && IsPlainWav(stream, Name, cancel)
            ? new WavReader(stream, Name, cancel).Read(longest)
            : DecodeCopy(stream, Name, longest, cancel);
    }

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
            throw new VoiceException($"{path}: the recording cannot be opened. {e.Message} Give the path of a file that exists and may be read.", e);
        }
    }

    /// <summary>Says that a recording is longer than allowed.</summary>
    internal static string TooLong(string lasts, double seconds, double longestSeconds) =>
        $"{lasts} {TimeSpan.FromSeconds(Math.Ceiling(seconds)):c}, expected at most {TimeSpan.FromSeconds(longestSeconds):c}. Cut out a part with the voice.";

    // True also for an empty file and a WAV file with a damaged header: WavReader says what is wrong with them.
    private static bool IsPlainWav(Stream stream, string name, CancellationToken cancel)
    {
        var start = stream.Position;
        var head = new byte[12];
        var length = stream.ReadAtLeast(head, head.Length, throwOnEndOfStream: false);
        stream.Position = start;
        if (length > 0 && !WavReader.IsWav(head))
        {
            return false;
        }

        var layout = new WavReader(stream, name, cancel).ReadHeader();
        stream.Position = start;
        return layout.Sample is not null;
    }

    private static AudioClip DecodeCopy(Stream stream, string name, TimeSpan longest, CancellationToken cancel)
    {
        var path = Path.Combine(Path.GetTempPath(), $"chatterbox-{Guid.NewGuid():N}");
        try
        {
            var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.ReadWrite };
            if (!OperatingSystem.IsWindows())
            {
                options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
            }

            using (var copy = new FileStream(path, options))
            {
                Copy(stream, copy, name, cancel);
                if (IsPlainWav(copy, name, cancel))
                {
                    return new WavReader(copy, name, cancel).Read(longest);
                }
            }

            return Ffmpeg.Decode(path, name, longest, cancel);
        }
        finally
        {
            File.Delete(path);
        }
    }

    private static void Copy(Stream stream, FileStream copy, string name, CancellationToken cancel)
    {
        var block = new byte[65536];
        for (int read; (read = stream.Read(block)) > 0;)
        {
            cancel.ThrowIfCancellationRequested();
            if (copy.Position + read > MostStreamBytes)
            {
                throw new VoiceException($"{name}: it has more than {MostStreamBytes} bytes. Cut out a part with the voice.");
            }

            copy.Write(block.AsSpan(0, read));
        }

        copy.Position = 0;
    }
}
