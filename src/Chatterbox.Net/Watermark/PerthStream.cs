using Chatterbox.Audio;
using Chatterbox.Ops.Cuda;

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
    private Tensor _heard; // samples from the first that is still needed, [samples]
    private long _given; // how many of those have come out
    private readonly Tensor _loudest; // level of the loudest frame so far, [1, 1, 1]

    public PerthStream(PerthConfig config, PerthWatermarker watermarker, int sampleRate, Device device)
    {
        _heard = zeros([0], device: device).DetachFromDisposeScope();
        _loudest = zeros([1, 1, 1], device: device).DetachFromDisposeScope();
        _watermarker = watermarker;
        _sampleRate = sampleRate;
        _hop = sampleRate * config.HopSize / config.SampleRate;
        var seconds =
            Resampler.Reach(sampleRate, config.SampleRate)
            + Resampler.Reach(config.SampleRate, sampleRate)
            + ((config.FftSize + (PerthEncoder.Reach * config.HopSize)) / (double)config.SampleRate);
        _reach = ((int)Math.Ceiling(seconds * sampleRate / _hop) + 1) * _hop;
    }

    /// <summary>Samples that have to follow before one comes out.</summary>
    public int Lookahead => _reach;

    /// <summary>Marks the next piece.</summary>
    /// <inheritdoc cref="Next(Tensor, bool)"/>
    public float[] Next(ReadOnlySpan<float> samples, bool last)
    {
        using var scope = NewDisposeScope();
        return HostTransfers.Read(Next(HostTransfers.Place(samples, _loudest.device), last));
    }

    /// <summary>Marks the next piece, on the watermarker's device.</summary>
    /// <param name="samples">One channel, following those given before, [samples]; none where only the end has come.</param>
    /// <param name="last">True where the utterance ends with them; its end is cut as by
    /// <see cref="PerthWatermarker.Mark(Tensor, int, Tensor?)"/>.</param>
    /// <returns>The samples whose mark is known by now, [samples]; none if too few have come.</returns>
    public Tensor Next(Tensor samples, bool last)
    {
        using var scope = NewDisposeScope();
        var heard = cat([_heard, samples]);
        var ready = last ? heard.size(0) : (heard.size(0) - _reach) / _hop * _hop;
        var (made, over) = (zeros([0], device: heard.device), 0L);
        if (ready > _given)
        {
            var marked = _watermarker.Mark(heard, _sampleRate, _loudest);
            made = marked.narrow(0, _given, Math.Min(ready, marked.size(0)) - _given);
            over = Math.Max(0, (ready - _reach) / _hop * _hop); // on the STFT's grid, as before
            _given = ready - over;
        }

        _heard.Dispose();
        _heard = heard.narrow(0, over, heard.size(0) - over).clone().DetachFromDisposeScope();
        return made.MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _heard.Dispose();
        _loudest.Dispose();
    }
}
