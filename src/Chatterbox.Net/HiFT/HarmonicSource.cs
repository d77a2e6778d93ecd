namespace Chatterbox.HiFT;

/// <summary>What chance adds to a source, drawn before it is computed: rows of several utterances are joined by
/// concatenation, each drawn from its own stream.</summary>
/// <param name="Phases">Phase at which each sine starts, [rows, sines, 1]; 0 for the fundamental.</param>
/// <param name="Noise">Standard normal, [rows, sines, samples].</param>
internal readonly record struct SourceNoise(Tensor Phases, Tensor Noise);

/// <summary>Excitation from pitch: a sine at F0 and one at each overtone, silent where speech is unvoiced, and noise, weak
/// where it is voiced; merged into one signal. Always in float32.</summary>
/// <remarks>Ports SineGen and SourceModuleHnNSF of chatterbox models/s3gen/hifigan.py. Weights: mel2wav.m_source.</remarks>
internal sealed class HarmonicSource(HiFTConfig config, WeightScope weights)
{
    private readonly Tensor _multiples = weights.Own(Multiples(config, weights.Device)); // [1, sines, 1]

    // of samples, from their frame's last, [samples of a frame], float64
    private readonly Tensor _places = weights.Own(Places(config, weights.Device));

    // A tensor, since torch on CUDA multiplies by the reciprocal of a number.
    private readonly Tensor _sampleRate = weights.Own(tensor((float)config.SampleRate, device: weights.Device));

    /// <summary>Sines that the source is merged from.</summary>
    public int Sines { get; } = config.Overtones + 1;

    /// <summary>Makes one signal of the sines.</summary>
    public Linear Merge { get; } = new(weights.InFloat32["l_linear"], config.Overtones + 1, 1);

    /// <summary>Draws what a source needs, in the reference's order.</summary>
    /// <param name="noise">The utterance's stream.</param>
    /// <param name="rows">Rows that share the stream.</param>
    /// <param name="frames">Frames of mel.</param>
    public SourceNoise Draw(NoiseSource noise, long rows, long frames)
    {
        using var scope = NewDisposeScope();
        var samples = frames * config.SamplesPerFrame;
        var phases = DrawPhases(noise, rows);
        var normal = noise.Normal([rows, Sines, samples], weights.Device);

        // The reference also draws a noise branch that nothing reads; what follows in the stream comes after it.
        noise.Skip(rows * samples);
        return new(phases.MoveToOuterDisposeScope(), normal.MoveToOuterDisposeScope());
    }

    /// <summary>Draws where in their turn the sines start.</summary>
    /// <returns>Radians, [rows, sines, 1].</returns>
    public Tensor DrawPhases(NoiseSource noise, long rows)
    {
        using var scope = NewDisposeScope();
        var phases = noise.Uniform(-Math.PI, Math.PI, [rows, Sines, 1], weights.Device);
        phases.narrow(1, 0, 1).Fill(0);
        return phases.MoveToOuterDisposeScope();
    }

    /// <param name="f0">F0 in Hz, [rows, frames].</param>
    /// <param name="noise">Drawn for as many rows and frames.</param>
    /// <param name="cycles">Cycles that the sines have made before these frames, as <see cref="Cycles"/> counts them; null
    /// where the utterance begins with them.</param>
    /// <returns>[rows, 1, samples], float32.</returns>
    public Tensor Forward(Tensor f0, SourceNoise noise, Tensor? cycles = null)
    {
        using var scope = NewDisposeScope();
        var voiced = f0.Gt(config.VoicedThreshold).to(ScalarType.Float32).reshape(f0.size(0), 1, -1, 1); // [rows, 1, frames, 1]
        var noiseLevel = voiced.Mul(config.VoicedNoise).Add((-voiced).Add(1).Mul(config.SineAmplitude).Div(3));
        var drawn = noise.Noise.unflatten(2, [f0.size(1), config.SamplesPerFrame]); // [rows, sines, frames, samples of a frame]
        var waves = (Waves(f0, noise.Phases, cycles) * voiced).Add(noiseLevel * drawn).flatten(2); // [rows, sines, samples]
        return matmul(Merge.Weight, waves).Add(Merge.Bias!).tanh().MoveToOuterDisposeScope();
    }

    /// <summary>Cycles that the sines make in some frames.</summary>
    /// <param name="f0">F0 in Hz, [rows, frames].</param>
    /// <returns>[rows, sines, 1], float64.</returns>
    public Tensor Cycles(Tensor f0)
    {
        using var scope = NewDisposeScope();
        return Step(f0.unsqueeze(1)).sum(-1, keepdim: true, ScalarType.Float64).Mul(config.SamplesPerFrame).MoveToOuterDisposeScope();
    }

    /// <summary>[rows, sines, frames, samples of a frame].</summary>
    private Tensor Waves(Tensor f0, Tensor phases, Tensor? cyclesBefore)
    {
        // Pitch is the same all through a frame. torch adds float32 up in float64 on the CPU and in float32 on CUDA; said
        // aloud, it is the same everywhere. The sum is rounded before the whole cycles go, as in the reference.
        var step = Step(f0.unsqueeze(1)).to(ScalarType.Float64).unsqueeze(-1); // [rows, sines, frames, 1]
        var behind = step.cumsum(2).Mul(config.SamplesPerFrame);
        behind = cyclesBefore is null ? behind : behind.Add(cyclesBefore.unsqueeze(-1));
        var cycles = behind.Add(step * _places).to(ScalarType.Float32).Remainder(1);
        return sin(cycles.Mul(2 * Math.PI).Add(phases.unsqueeze(-1))).Mul(config.SineAmplitude);
    }

    /// <summary>Cycles a sample, [rows, sines, time].</summary>
    private Tensor Step(Tensor pitch) => pitch * _multiples / _sampleRate;

    private static Tensor Places(HiFTConfig config, Device device)
    {
        using var scope = NewDisposeScope();
        return Arithmetic.Range(1 - config.SamplesPerFrame, 1, device: device).to(ScalarType.Float64).MoveToOuterDisposeScope();
    }

    private static Tensor Multiples(HiFTConfig config, Device device)
    {
        using var scope = NewDisposeScope();
        return Arithmetic.Range(1, config.Overtones + 2, device: device).reshape(1, -1, 1).MoveToOuterDisposeScope();
    }
}
