using System.Buffers;

namespace Chatterbox.Audio;

/// <summary>Encodes one channel as it comes, with bounded memory.</summary>
internal interface IAudioEncoder : IDisposable
{
    /// <summary>Encodes what comes next; what is not enough for a frame waits for more.</summary>
    /// <param name="samples">Samples at the format's rate, full scale at ±1.</param>
    /// <param name="output">Where the bytes go.</param>
    void Encode(ReadOnlySpan<float> samples, IBufferWriter<byte> output);

    /// <summary>Encodes the rest, and ends the stream.</summary>
    /// <param name="output">Where the bytes go.</param>
    void Finish(IBufferWriter<byte> output);

    /// <summary>Writes into the beginning of a finished file what was not known when it began, such as its length.</summary>
    /// <param name="file">The whole file.</param>
    void Complete(Span<byte> file)
    {
    }
}
