using System.Buffers;
using System.Numerics.Tensors;

namespace Chatterbox.Audio;

/// <summary>Changes the tempo of what is encoded, and not its pitch: pieces of 30 ms are taken at another pace than they are put together,
/// each from the place near its own where it continues the piece before it best.</summary>
/// <remarks>WSOLA: W. Verhelst, M. Roelands, "An overlap-add technique based on waveform similarity" (1993). The output is delayed by 37
/// ms, and its
/// length is that of the input over the tempo, to the sample.</remarks>
internal sealed class TempoEncoder : IAudioEncoder
{
    private readonly double _tempo;
    private readonly IAudioEncoder _next;
    private readonly int _hop; // half a piece: pieces overlap by half
    private readonly int _reach; // how far from its own place a piece is searched for
    private readonly float[] _fadeIn;
    private readonly float[] _tail; // of the piece before, faded out
    private readonly float[] _made;
    private readonly List<float> _input = [];
    private long _inputStart; // place of the first sample that is kept
    private long _taken;
    private long _piece;
    private long _place; // of the piece before
    private long _written;

    /// <param name="tempo">Above 1 is faster.</param>
    /// <param name="sampleRate">Samples a second (Hz).</param>
    /// <param name="next">Encodes what comes out.</param>
    public TempoEncoder(double tempo, int sampleRate, IAudioEncoder next)
    {
        (_tempo, _next) = (tempo, next);
        _hop = sampleRate * 15 / 1000;
        _reach = sampleRate * 20 / 3000; // half a period of the lowest voices, 75 Hz
        _fadeIn = [.. Enumerable.Range(0, _hop).Select(i => (float)Math.Pow(Math.Sin(Math.PI / 2 * (i + 0.5) / _hop), 2))];
        (_tail, _made) = (new float[_hop], new float[_hop]);
    }

    /// <summary>Samples that come out.</summary>
    /// <param name="count">Samples that go in.</param>
    /// <param name="tempo">Above 1 is faster.</param>
    public static int OutputLength(long count, double tempo) => checked((int)Math.Round(count / tempo));

    /// <inheritdoc/>
    public void Encode(ReadOnlySpan<float> samples, IBufferWriter<byte> output)
    {
        _input.AddRange(samples);
        _taken += samples.Length;
        Process((long)(_taken / _tempo), _hop, output);
    }

    /// <inheritdoc/>
    public void Finish(IBufferWriter<byte> output)
    {
        var length = OutputLength(_taken, _tempo);
        while (_written < length)
        {
            _input.AddRange(new float[_hop]); // silence
            Process(length, 1, output);
        }

        _next.Finish(output);
    }

    /// <inheritdoc/>
    public void Complete(Span<byte> head, long fileBytes) => _next.Complete(head, fileBytes);

    /// <inheritdoc/>
    public void Dispose() => _next.Dispose();

    /// <summary>Puts pieces together while there is input for them.</summary>
    /// <param name="mostWritten">Samples that may have been written after it.</param>
    /// <param name="least">Samples of a piece that must be among them; the rest of it is cut off.</param>
    /// <param name="output">Where the bytes go.</param>
    private void Process(long mostWritten, int least, IBufferWriter<byte> output)
    {
        while (Nominal(_piece) + _reach + (2 * _hop) <= _inputStart + _input.Count && _written + least <= mostWritten)
        {
            _place = _piece == 0 ? 0 : BestPlace();
            var piece = At(_place, 2 * _hop);
            if (_piece == 0)
            {
                piece[.._hop].CopyTo(_made);
            }
            else
            {
                TensorPrimitives.MultiplyAdd(piece[.._hop], _fadeIn, _tail, _made);
            }

            for (var i = 0; i < _hop; i++)
            {
                _tail[i] = piece[_hop + i] * (1 - _fadeIn[i]);
            }

            _piece++;
            var kept = (int)Math.Min(_hop, mostWritten - _written);
            _written += kept;
            _next.Encode(_made.AsSpan(0, kept), output);
            Forget();
        }
    }

    private long Nominal(long piece) => (long)Math.Round(piece * _hop * _tempo);

    /// <summary>The place whose samples are most like those that follow the piece before.</summary>
    private long BestPlace()
    {
        var wanted = At(_place + _hop, _hop);
        var nominal = Nominal(_piece);
        var (best, bestLikeness) = (nominal, double.NegativeInfinity);
        for (var place = Math.Max(_inputStart, nominal - _reach); place <= nominal + _reach; place++)
        {
            var candidate = At(place, _hop);
            var likeness = TensorPrimitives.Dot(wanted, candidate) / Math.Sqrt(TensorPrimitives.SumOfSquares(candidate) + 1e-9);
            (best, bestLikeness) = likeness > bestLikeness ? (place, likeness) : (best, bestLikeness);
        }

        return best;
    }

    private ReadOnlySpan<float> At(long place, int count) =>
        System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_input).Slice((int)(place - _inputStart), count);

    // What neither the next piece nor the continuation of this one can need.
    private void Forget()
    {
        var unneeded = (int)Math.Clamp(Math.Min(_place + _hop, Nominal(_piece) - _reach) - _inputStart, 0, _input.Count);
        _input.RemoveRange(0, unneeded);
        _inputStart += unneeded;
    }
}
