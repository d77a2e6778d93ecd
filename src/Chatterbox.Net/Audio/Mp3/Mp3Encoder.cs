using System.Buffers;

namespace Chatterbox.Audio.Mp3;

/// <summary>Encodes one channel as MP3 of a constant bit rate, without anything installed.</summary>
/// <remarks>MPEG-1, MPEG-2 and MPEG-2.5 Layer III after ISO/IEC 11172-3 and 13818-3. Frames are independent (no bit reservoir), so
/// that a stream can be played from any of them. The decoded recording is delayed by <see cref="DelaySamples"/>.</remarks>
internal sealed class Mp3Encoder : IAudioEncoder
{
    private const int Lines = Mp3Header.GranuleSamples / AnalysisFilterBank.Bands;

    /// <summary>Samples by which the decoded recording is delayed: one granule of overlap, and the 481 of both filter banks.</summary>
    public const int DelaySamples = Mp3Header.GranuleSamples + 481;

    private readonly Mp3Header _header;
    private readonly Mp3Header? _info;
    private readonly ScaleFactorBands _bands;
    private readonly AnalysisFilterBank _filters = new();
    private readonly Psychoacoustics _psychoacoustics;
    private readonly Quantizer _quantizer;
    private readonly float[] _samples = new float[Mp3Header.GranuleSamples]; // of the granule that is not complete
    private readonly float[] _lines = new float[Mp3Header.GranuleSamples];
    private readonly double[] _thresholds = new double[ScaleFactorBands.Count + 1];
    private readonly Mp3FrameWriter _writer;
    private float[] _first = new float[Mp3Header.GranuleSamples]; // band samples of three granules in a row
    private float[] _second = new float[Mp3Header.GranuleSamples];
    private float[] _third = new float[Mp3Header.GranuleSamples];
    private bool _firstIsShort;
    private bool _secondIsShort;
    private BlockType _before = BlockType.Long;
    private int _filled;
    private int _granule;
    private long _length;
    private bool _isBegun;

    /// <param name="sampleRate">One of <see cref="Mp3Header.SampleRates"/> (Hz).</param>
    /// <param name="bitRate">One of <see cref="Mp3Header.BitRates"/> for it (bits a second).</param>
    /// <param name="isWhole">Whether the file will be completed: it then begins with a frame for what is known at its end.</param>
    public Mp3Encoder(int sampleRate, int bitRate, bool isWhole = false)
    {
        _info = isWhole ? Mp3Info.HeaderFor(Mp3Header.Of(sampleRate, bitRate)) : null;
        _header = Mp3Header.Of(sampleRate, bitRate);
        _bands = ScaleFactorBands.Of(sampleRate);
        _psychoacoustics = new Psychoacoustics(_bands, sampleRate);
        _quantizer = new Quantizer(_bands, _header.Generation, CodedLines(sampleRate, bitRate));
        _writer = new Mp3FrameWriter(_header);
    }

    // Each granule is transformed together with the next.
    private int Written => _granule - 1;

    /// <inheritdoc/>
    public void Encode(ReadOnlySpan<float> samples, IBufferWriter<byte> output)
    {
        Begin(output);
        _length += samples.Length;
        while (samples.Length > 0)
        {
            var taken = Math.Min(samples.Length, _samples.Length - _filled);
            samples[..taken].CopyTo(_samples.AsSpan(_filled));
            _filled += taken;
            samples = samples[taken..];
            if (_filled == _samples.Length)
            {
                EncodeGranule(output);
            }
        }
    }

    /// <inheritdoc/>
    /// <remarks>Silence follows until the last sample has gone through decoders, to the end of a frame; there are two frames at least,
    /// without
    /// which some programs do not believe that it is MP3.</remarks>
    public void Finish(IBufferWriter<byte> output)
    {
        Begin(output);
        var granules = ((_filled + DelaySamples + _samples.Length - 1) / _samples.Length) + 1;
        for (var i = 0; i < granules || Written % _header.Granules != 0 || Written < 2 * _header.Granules; i++)
        {
            _samples.AsSpan(_filled).Clear();
            EncodeGranule(output);
        }
    }

    /// <inheritdoc/>
    public void Complete(Span<byte> head, long fileBytes)
    {
        if (_info is { } header)
        {
            var delay = DelaySamples - Mp3Info.DecoderDelay;
            var padding = (long)Written * Mp3Header.GranuleSamples - delay - _length;
            new Mp3Info(Written / _header.Granules, HasDelay: true, delay, (int)padding).Write(header, head, fileBytes);
        }
    }

    /// <inheritdoc/>
    public void Dispose() { }

    private void Begin(IBufferWriter<byte> output)
    {
        if (!_isBegun && _info is { } header)
        {
            output.Write(new byte[header.FrameBytes]);
        }

        _isBegun = true;
    }

    private void EncodeGranule(IBufferWriter<byte> output)
    {
        _filled = 0;
        (_first, _second, _third) = (_second, _third, _first);
        Filter(_samples, _third);

        // Short windows lie in the middle of a transform: an attack in a granule is in that of the transform before it, and from a third of
        // the granule on in its own as well.
        var attack = _psychoacoustics.FindAttack(_samples);
        _secondIsShort |= attack is not null;
        var thirdIsShort = attack > 1 / 3.0;
        _granule++;
        if (Written > 0)
        {
            Write(output);
        }

        (_firstIsShort, _secondIsShort) = (_secondIsShort, thirdIsShort);
    }

    private void Write(IBufferWriter<byte> output)
    {
        var type =
            _firstIsShort ? BlockType.Short
            : _before == BlockType.Short ? (_secondIsShort ? BlockType.Short : BlockType.Stop)
            : _secondIsShort ? BlockType.Start
            : BlockType.Long;
        _before = type;
        HybridTransform.Forward(_first, _second, type, _lines, _bands);
        if (type != BlockType.Short)
        {
            _psychoacoustics.Thresholds(_lines, _thresholds);
        }

        _writer.Add(_quantizer.Quantize(_lines, type, _thresholds, _writer.BitsLeft), _lines, output);
    }

    private void Filter(ReadOnlySpan<float> samples, Span<float> bandSamples)
    {
        Span<float> bands = stackalloc float[AnalysisFilterBank.Bands];
        for (var time = 0; time < Lines; time++)
        {
            _filters.Filter(samples.Slice(time * AnalysisFilterBank.Bands, AnalysisFilterBank.Bands), bands);
            for (var band = 0; band < bands.Length; band++)
            {
                bandSamples[(band * Lines) + time] = bands[band];
            }
        }
    }

    // At low bit rates the highest frequencies would take bits from those that matter more.
    private static int CodedLines(int sampleRate, int bitRate)
    {
        var highest = 2000 + (bitRate / 4.0);
        return (int)Math.Min(Mp3Header.GranuleSamples, highest / (sampleRate / 2.0) * Mp3Header.GranuleSamples);
    }
}
