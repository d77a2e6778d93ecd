using System.Runtime.InteropServices;

namespace Chatterbox.Audio;

/// <summary>How samples are stored in a WAV file.</summary>
public enum WavEncoding
{
    /// <summary>16-bit integers: every program reads them.</summary>
    Pcm16,

    /// <summary>32-bit floating point: nothing is rounded or clipped.</summary>
    FloatingPoint32,
}

/// <summary>Reads WAV files into one channel of float32 samples, and writes them.</summary>
public static class WavFile
{
    /// <summary>Reads a WAV file: PCM of 8, 16, 24 or 32 bits, or floating point of 32 or 64, any rate and channel count.</summary>
    /// <param name="path">The file; its content decides, not its name.</param>
    /// <param name="longest">Refuses a longer recording, as early as its length shows; null sets no limit.</param>
    /// <param name="cancellationToken">Ends the reading early.</param>
    /// <returns>All channels mixed to one, at the file's rate.</returns>
    /// <exception cref="VoiceException">It is no WAV file, a damaged or empty one, of another codec, or too long.</exception>
    public static AudioClip Read(string path, TimeSpan? longest = null, CancellationToken cancellationToken = default)
    {
        using var file = AudioFile.OpenRead(path);
        return Read(file, new RecordingSource(Path.GetFileName(path), longest, cancellationToken));
    }

    /// <inheritdoc cref="Read(string, TimeSpan?, CancellationToken)"/>
    /// <param name="stream">The file's bytes from here on; it need not be seekable and is left open.</param>
    /// <param name="longest">Refuses a longer recording, as early as its length shows; null sets no limit.</param>
    /// <param name="cancellationToken">Ends the reading early.</param>
    public static AudioClip Read(Stream stream, TimeSpan? longest = null, CancellationToken cancellationToken = default) =>
        Read(stream, new RecordingSource("The WAV data", longest, cancellationToken));

    /// <summary>Writes one channel as a WAV file, replacing what was there.</summary>
    /// <param name="path">The file to write.</param>
    /// <param name="samples">Samples, full scale at ±1; 16-bit PCM clips what is louder.</param>
    /// <param name="sampleRate">Samples a second (Hz).</param>
    /// <param name="encoding">How the samples are stored.</param>
    public static void Write(string path, ReadOnlySpan<float> samples, int sampleRate, WavEncoding encoding = WavEncoding.Pcm16)
    {
        using var file = File.Create(path);
        Write(file, samples, sampleRate, encoding);
    }

    /// <summary>Writes one channel as a WAV file into a stream.</summary>
    /// <param name="stream">Where to write; it need not be seekable and is left open.</param>
    /// <param name="samples">Samples, full scale at ±1; 16-bit PCM clips what is louder.</param>
    /// <param name="sampleRate">Samples a second (Hz).</param>
    /// <param name="encoding">How the samples are stored.</param>
    /// <exception cref="ArgumentOutOfRangeException">The rate is not positive, or the samples exceed the 4 GB that the format can
    /// hold.</exception>
    public static void Write(Stream stream, ReadOnlySpan<float> samples, int sampleRate, WavEncoding encoding = WavEncoding.Pcm16)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(sampleRate);
        var sampleBytes = encoding == WavEncoding.Pcm16 ? Pcm16.BytesPerSample : sizeof(float);
        ArgumentOutOfRangeException.ThrowIfGreaterThan((long)samples.Length * sampleBytes, uint.MaxValue - 64L, nameof(samples));

        stream.Write(Header(sampleRate, encoding, sampleBytes, (uint)samples.Length * (uint)sampleBytes));
        var block = new byte[16384];
        for (var rest = samples; rest.Length > 0; )
        {
            var count = Math.Min(rest.Length, block.Length / sampleBytes);
            var bytes = block.AsSpan(0, count * sampleBytes);
            if (encoding == WavEncoding.Pcm16)
            {
                Pcm16.Encode(rest[..count], bytes);
            }
            else
            {
                MemoryMarshal.AsBytes(rest[..count]).CopyTo(bytes);
            }

            stream.Write(bytes);
            rest = rest[count..];
        }
    }

    private static AudioClip Read(Stream stream, RecordingSource source)
    {
        try
        {
            return WavReader.Read(stream, source);
        }
        catch (NotDecodedHereException e)
        {
            throw new VoiceException($"{source.Name}: {e.Message}; expected PCM, floating point or G.711. Convert it to 16-bit PCM.", e);
        }
    }

    private static byte[] Header(int sampleRate, WavEncoding encoding, int sampleBytes, uint dataBytes)
    {
        var header = new MemoryStream();
        using var writer = new BinaryWriter(header);
        writer.Write("RIFF"u8);
        writer.Write(36 + dataBytes);
        writer.Write("WAVEfmt "u8);
        writer.Write(16);
        writer.Write(encoding == WavEncoding.Pcm16 ? WavReader.Pcm : WavReader.Float);
        writer.Write((ushort)1);
        writer.Write(sampleRate);
        writer.Write((uint)sampleRate * (uint)sampleBytes);
        writer.Write((ushort)sampleBytes);
        writer.Write((ushort)(8 * sampleBytes));
        writer.Write("data"u8);
        writer.Write(dataBytes);
        return header.ToArray();
    }
}
