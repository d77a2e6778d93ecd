using System.Buffers;

namespace Chatterbox.Audio;

/// <summary>Changes the sample rate of a stream, to the same samples that <see cref="Resampler"/> gives for the whole.</summary>
internal sealed class ResamplingEncoder : IAudioEncoder
{
    private const int BlockSamples = 4096;

    private readonly int _from;
    private readonly int _to;
    private readonly IAudioEncoder _next;
    private readonly PolyphaseFilter _filter;
    private readonly float[] _block = new float[BlockSamples];
    private readonly List<float> _input = [];
    private long _inputStart; // place of the first sample that is kept
    private long _written;

    /// <param name="from">Rate of what comes (Hz).</param>
    /// <param name="to">Rate that is encoded (Hz).</param>
    /// <param name="next">Encodes it.</param>
    public ResamplingEncoder(int from, int to, IAudioEncoder next)
    {
        (_from, _to, _next) = (from, to, next);
        _filter = Resampler.Filter(from, to);
    }

    private long Taken => _inputStart + _input.Count;

    /// <inheritdoc/>
    public void Encode(ReadOnlySpan<float> samples, IBufferWriter<byte> output)
    {
        _input.AddRange(samples);

        // Those whose filter ends within what has come.
        Write(Math.Max(0, (Taken - _filter.Reach) * _to / _from), output);
    }

    /// <inheritdoc/>
    public void Finish(IBufferWriter<byte> output)
    {
        var taken = checked((int)Taken);
        Write(Resampler.FilteredLength(taken, _from, _to), output);
        _next.Encode(new float[Resampler.OutputLength(taken, _from, _to) - _written], output);
        _next.Finish(output);
    }

    /// <inheritdoc/>
    public void Complete(Span<byte> head, long fileBytes) => _next.Complete(head, fileBytes);

    /// <inheritdoc/>
    public void Dispose() => _next.Dispose();

    private void Write(long end, IBufferWriter<byte> output)
    {
        while (_written < end)
        {
            var block = _block.AsSpan(0, (int)Math.Min(BlockSamples, end - _written));
            _filter.Apply(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_input), block, _inputStart, _written);
            _written += block.Length;
            _next.Encode(block, output);
        }

        var unneeded = (int)Math.Clamp((_written * _from / _to) - _filter.Reach - _inputStart, 0, _input.Count);
        _input.RemoveRange(0, unneeded);
        _inputStart += unneeded;
    }
}
