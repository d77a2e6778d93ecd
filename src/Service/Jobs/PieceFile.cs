using System.Buffers.Binary;
using Chatterbox.Audio;

namespace Chatterbox.Service.Jobs;

/// <summary>The samples of a piece in a file of its own: 16-bit PCM without a header.</summary>
internal static class PieceFile
{
    /// <summary>The file's name.</summary>
    public static string NameOf(int piece) => $"{piece:D6}.pcm";

    /// <summary>Bytes of so many samples.</summary>
    public static long BytesOf(long samples) => samples * Pcm16.BytesPerSample;

    /// <summary>Samples of a file.</summary>
    public static long SamplesOf(string path) => new FileInfo(path).Length / Pcm16.BytesPerSample;

    /// <summary>Reads one.</summary>
    public static float[] Read(string path)
    {
        var bytes = File.ReadAllBytes(path);
        var samples = new float[bytes.Length / Pcm16.BytesPerSample];
        for (var i = 0; i < samples.Length; i++)
        {
            samples[i] = BinaryPrimitives.ReadInt16LittleEndian(bytes.AsSpan(i * Pcm16.BytesPerSample)) / 32768f;
        }

        return samples;
    }
}
