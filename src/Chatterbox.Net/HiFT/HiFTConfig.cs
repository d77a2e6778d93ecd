namespace Chatterbox.HiFT;

/// <summary>Sizes and constants of the vocoder.</summary>
/// <remarks>Source: chatterbox models/s3gen/s3gen.py, S3Token2Wav, and the defaults of hifigan.py and f0_predictor.py.</remarks>
internal sealed record HiFTConfig
{
    /// <summary>Bands of the mel.</summary>
    public int MelBands { get; init; } = 80;

    /// <summary>Samples a second of the waveform, Hz.</summary>
    public int SampleRate { get; init; } = 24000;

    /// <summary>Channels before the first upsampling; each upsampling halves them.</summary>
    public int Channels { get; init; } = 512;

    /// <summary>Factors by which the upsamplings lengthen, first to last.</summary>
    public IReadOnlyList<int> UpsampleRates { get; init; } = [8, 5, 3];

    /// <summary>Kernels of the upsamplings; each longer than its factor by an even number.</summary>
    public IReadOnlyList<int> UpsampleKernels { get; init; } = [16, 11, 7];

    /// <summary>Kernels of the residual blocks whose mean ends each upsampling.</summary>
    public IReadOnlyList<int> BlockKernels { get; init; } = [3, 7, 11];

    /// <summary>Kernels of the residual blocks that bring the source into each upsampling.</summary>
    public IReadOnlyList<int> SourceBlockKernels { get; init; } = [7, 7, 11];

    /// <summary>Dilations within each residual block.</summary>
    public IReadOnlyList<int> BlockDilations { get; init; } = [1, 3, 5];

    /// <summary>Slope of the leaky ReLU before each upsampling.</summary>
    public double LeakySlope { get; init; } = 0.1;

    /// <summary>Window of the inverse STFT that ends the network, samples.</summary>
    public int FftSize { get; init; } = 16;

    /// <summary>Step of the inverse STFT, samples.</summary>
    public int HopSize { get; init; } = 4;

    /// <summary>Bins of the STFT above this magnitude are cut to it.</summary>
    public double MaxMagnitude { get; init; } = 100;

    /// <summary>Samples beyond ± this are cut to it.</summary>
    public double AudioLimit { get; init; } = 0.99;

    /// <summary>Channels of the F0 predictor.</summary>
    public int F0Channels { get; init; } = 512;

    /// <summary>Convolutions of the F0 predictor.</summary>
    public int F0Layers { get; init; } = 5;

    /// <summary>Overtones of the source beside the fundamental.</summary>
    public int Overtones { get; init; } = 8;

    /// <summary>Amplitude of each sine of the source.</summary>
    public double SineAmplitude { get; init; } = 0.1;

    /// <summary>Standard deviation of the noise of the source where speech is voiced.</summary>
    public double VoicedNoise { get; init; } = 0.003;

    /// <summary>F0 above which speech is voiced, Hz.</summary>
    public double VoicedThreshold { get; init; } = 10;

    /// <summary>Silence at the start of an utterance, and length of the fade after it, seconds.</summary>
    public double FadeSeconds { get; init; } = 0.02;

    /// <summary>Samples made from each frame of mel.</summary>
    public int SamplesPerFrame => UpsampleRates.Aggregate(HopSize, (product, rate) => product * rate);
}
