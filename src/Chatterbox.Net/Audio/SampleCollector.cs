namespace Chatterbox.Audio;

/// <summary>Collects the samples of a recording while it is decoded: mixes its channels to one, and refuses a recording as soon as it is
/// longer than allowed, so that memory is bounded by what was asked for and never by what a header claims.</summary>
/// <remarks>The mixdown is the mean of the channels, as in librosa.load.</remarks>
internal sealed class SampleCollector
{
    /// <summary>Highest sample rate of a recording, Hz. More says nothing of a voice, and costs memory.</summary>
    public const int HighestRate = 192_000;

    private const int MostChannels = 255;
    private const int BlockSamples = 1 << 16;

    // 256 MiB: ten minutes at 96 kHz are less.
    private const long MostSamples = 1 << 26;

    private readonly string _name;
    private readonly int _sampleRate;
    private readonly int _channels;
    private readonly long _limit;
    private readonly List<float[]> _full = [];
    private float[] _block = [];
    private int _filled;

    /// <param name="name">What to call the recording in errors.</param>
    /// <param name="sampleRate">Samples a second (Hz) in each channel.</param>
    /// <param name="channels">Channels.</param>
    /// <param name="longest">Refuses a longer recording; null sets no limit but that of memory.</param>
    /// <exception cref="VoiceException">No recording of a voice has this rate or so many channels.</exception>
    public SampleCollector(string name, int sampleRate, int channels, TimeSpan? longest)
    {
        if (channels is < 1 or > MostChannels || sampleRate is < Resampler.LowestRate or > HighestRate)
        {
            throw new VoiceException(
                $"{name}: it has {channels} channels at {sampleRate} Hz, expected 1 to {MostChannels} at {Resampler.LowestRate} to "
                    + $"{HighestRate} Hz. "
                    + "Convert the recording to 48 kHz or less."
            );
        }

        (_name, _sampleRate, _channels) = (name, sampleRate, channels);
        _limit = (long)Math.Min(MostSamples, (longest ?? TimeSpan.MaxValue).TotalSeconds * sampleRate);
    }

    /// <summary>Samples of the mixdown so far.</summary>
    public long Count => ((long)_full.Count * BlockSamples) + _filled;

    /// <summary>Refuses a recording whose header declares more samples than allowed, before they are decoded.</summary>
    /// <param name="frames">Samples a channel.</param>
    /// <exception cref="VoiceException">It is too long.</exception>
    public void ThrowIfLonger(long frames) => ThrowIfLonger(frames, "it lasts");

    /// <summary>Adds samples.</summary>
    /// <param name="interleaved">One sample of each channel, and so on.</param>
    /// <exception cref="VoiceException">The recording is too long, or a sample is no number.</exception>
    public void Add(ReadOnlySpan<float> interleaved)
    {
        for (var i = 0; i + _channels <= interleaved.Length; i += _channels)
        {
            var sum = 0f;
            foreach (var sample in interleaved.Slice(i, _channels))
            {
                sum += sample;
            }

            var mixed = sum / _channels;
            if (!float.IsFinite(mixed))
            {
                throw new VoiceException(
                    $"{_name}: sample {Count} is {mixed}, expected numbers between -1 and 1. The file is damaged: export the "
                        + $"recording again."
                );
            }

            Add(mixed);
        }

        ThrowIfLonger(Count, "it lasts at least");
    }

    /// <summary>The whole recording.</summary>
    /// <exception cref="VoiceException">It holds no samples.</exception>
    public AudioClip Finish()
    {
        if (Count == 0)
        {
            throw new VoiceException($"{_name}: it holds no samples. Choose another recording.");
        }

        var samples = new float[Count];
        foreach (var (i, block) in _full.Index())
        {
            block.CopyTo(samples, i * BlockSamples);
        }

        _block.AsSpan(0, _filled).CopyTo(samples.AsSpan(_full.Count * BlockSamples));
        return new AudioClip(samples, _sampleRate);
    }

    private void Add(float sample)
    {
        if (_filled == _block.Length)
        {
            Grow();
        }

        _block[_filled++] = sample;
    }

    // The first block grows with what it holds: most damaged files end soon.
    private void Grow()
    {
        if (_block.Length == BlockSamples)
        {
            _full.Add(_block);
            (_block, _filled) = (new float[BlockSamples], 0);
        }
        else
        {
            Array.Resize(ref _block, Math.Clamp(2 * _block.Length, 1024, BlockSamples));
        }
    }

    private void ThrowIfLonger(long frames, string lasts)
    {
        if (frames > _limit)
        {
            throw new VoiceException($"{_name}: {AudioFile.TooLong(lasts, (double)frames / _sampleRate, (double)_limit / _sampleRate)}");
        }
    }
}
