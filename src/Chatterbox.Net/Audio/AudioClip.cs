namespace Chatterbox.Audio;

/// <summary>Mono sound.</summary>
/// <param name="Samples">Samples, full scale ±1.</param>
/// <param name="SampleRate">Samples a second, Hz.</param>
public sealed record AudioClip(float[] Samples, int SampleRate)
{
    /// <summary>Length in time.</summary>
    public TimeSpan Duration => TimeSpan.FromSeconds(Samples.Length / (double)SampleRate);
}
