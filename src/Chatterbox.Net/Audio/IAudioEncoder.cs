using System.Buffers;

namespace Chatterbox.Audio;

/// <summary>Encodes one channel as it comes, with bounded memory.</summary>
internal interface IAudioEncoder : IDisposable
{
    /// <summary>Bytes at the beginning of a file that <see cref="Complete"/> may change: more than the longest frame of MP3.</summary>
    const int HeadBytes = 4096;

    /// <summary>Encodes what comes next; what is not enough for a frame waits for more.</summary>
    /// <param name="samples">Samples at the format's rate, full scale at ±1.</param>
    /// <param name="output">Where the bytes go.</param>
    void Encode(ReadOnlySpan<float> samples, IBufferWriter<byte> output);

    /// <summary>Encodes the rest, and ends the stream.</summary>
    /// <param name="output">Where the bytes go.</param>
    void Finish(IBufferWriter<byte> output);

    /// <summary>Writes into the beginning of a finished file what was not known when it began, such as its length.</summary>
    /// <param name="head">The file's first bytes, <see cref="HeadBytes"/> of them or all that it has.</param>
    /// <param name="fileBytes">Length of the file.</param>
    void Complete(Span<byte> head, long fileBytes) { }
}
