namespace Chatterbox.Audio;

/// <summary>Sound in memory: one channel of float32 samples, full scale at ±1.</summary>
/// <param name="Samples">The samples; not copied.</param>
/// <param name="SampleRate">Samples a second (Hz).</param>
public sealed record AudioClip(ReadOnlyMemory<float> Samples, int SampleRate)
{
    /// <summary>How long the clip plays.</summary>
    public TimeSpan Duration => TimeSpan.FromSeconds((double)Samples.Length / SampleRate);
}
