using System.Buffers;
using System.Runtime.InteropServices;

namespace Chatterbox.Audio;

/// <summary>Samples as they are: what an encoder outside of this process is given.</summary>
internal sealed class FloatEncoder : IAudioEncoder
{
    /// <inheritdoc/>
    public void Encode(ReadOnlySpan<float> samples, IBufferWriter<byte> output) => output.Write(MemoryMarshal.AsBytes(samples));

    /// <inheritdoc/>
    public void Finish(IBufferWriter<byte> output) { }

    /// <inheritdoc/>
    public void Dispose() { }
}
