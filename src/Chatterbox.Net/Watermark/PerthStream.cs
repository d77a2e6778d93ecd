using System.Runtime.InteropServices;
using Chatterbox.Audio;

namespace Chatterbox.Watermark;

/// <summary>The mark on one utterance, made piece by piece as its samples come: the pieces joined are the whole, marked.</summary>
/// <remarks>
/// Samples come out once all that their mark depends on is known: both resamplings, the STFT on the way in and out, and the
/// network's convolutions, in all some 0.23 s to either side; as much of the past is kept and gone over again. One thing
/// differs from the whole: which frame is the loudest of the utterance, against which the faintest are left unmarked, is
/// not known before the end, so it is the loudest so far. Levels are sums of decibels above −180, which makes frames as
/// faint as that the ones of digital silence.
/// </remarks>
internal sealed class PerthStream : IDisposable
{
    private readonly PerthWatermarker _watermarker;
    private readonly int _sampleRate;
    private readonly int _hop;
    private readonly int _reach;
    private readonly List<float> _heard = [];         // samples from the first that is still needed
    private int _given;                               // how many of those have come out
    private readonly Tensor _loudest;                 // level of the loudest frame so far, [1, 1, 1]

    public PerthStream(PerthConfig config, PerthWatermarker watermarker, int sampleRate, Device device)
    {
        _loudest = zeros([1, 1, 1], device: device).DetachFromDisposeScope();
        _watermarker = watermarker;
        _sampleRate = sampleRate;
        _hop = sampleRate * config.HopSize / config.SampleRate;
        var seconds = Resampler.Reach(sampleRate, config.SampleRate) + Resampler.Reach(config.SampleRate, sampleRate)
            + ((config.FftSize + (PerthNet.Reach * config.HopSize)) / (double)config.SampleRate);
        _reach = ((int)Math.Ceiling(seconds * sampleRate / _hop) + 1) * _hop;
    }

    /// <summary>Samples that have to follow before one comes out.</summary>
    public int Lookahead => _reach;

    /// <summary>Marks the next piece.</summary>
    /// <param name="samples">One channel, following those given before; none where only the end has come.</param>
    /// <param name="last">True where the utterance ends with them; its end is cut as by <see cref="PerthWatermarker.Mark"/>.</param>
    /// <returns>The samples whose mark is known by now; none if too few have come.</returns>
    public float[] Next(ReadOnlySpan<float> samples, bool last)
    {
        _heard.AddRange(samples);
        var ready = last ? _heard.Count : (_heard.Count - _reach) / _hop * _hop;
        if (ready <= _given)
        {
            return [];
        }

        var marked = _watermarker.MarkPart(CollectionsMarshal.AsSpan(_heard), _sampleRate, _loudest);
        var made = marked[_given..Math.Min(ready, marked.Length)];
        var over = Math.Max(0, (ready - _reach) / _hop * _hop);                                    // on the STFT's grid, as before
        _heard.RemoveRange(0, over);
        _given = ready - over;
        return made;
    }

    /// <inheritdoc/>
    public void Dispose() => _loudest.Dispose();
}
