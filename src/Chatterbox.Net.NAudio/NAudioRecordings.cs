using System.Numerics.Tensors;
using Chatterbox.Audio;
using NAudio.Wave;

namespace Chatterbox.NAudio;

/// <summary>Recordings that NAudio reads, for <see cref="ChatterboxModel.CreateVoice"/> and voice conversion.</summary>
public static class NAudioRecordings
{
    /// <summary>Reads a recording to its end: a file, a capture, or anything else that NAudio provides.</summary>
    /// <param name="source">Any rate; its channels are mixed to one by their mean.</param>
    /// <param name="longest">Refuses a longer recording.</param>
    /// <param name="cancellationToken">Gives it up.</param>
    /// <exception cref="VoiceException">It holds no samples, is too long, or has samples that are no numbers.</exception>
    public static AudioClip ReadClip(this ISampleProvider source, TimeSpan longest, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(source);
        var (rate, channels) = (source.WaveFormat.SampleRate, source.WaveFormat.Channels);
        var most = (long)(longest.TotalSeconds * rate);
        var samples = new List<float>();
        var buffer = new float[Math.Max(1, rate / 10) * channels];
        while (source.Read(buffer) is > 0 and var read)
        {
            cancellationToken.ThrowIfCancellationRequested();
            for (var i = 0; i + channels <= read; i += channels)
            {
                var mixed = TensorPrimitives.Sum<float>(buffer.AsSpan(i, channels)) / channels;
                samples.Add(
                    float.IsFinite(mixed)
                        ? mixed
                        : throw new VoiceException(
                            $"Sample {samples.Count} of the recording is {mixed}, expected numbers between -1 and 1. Make the "
                                + $"recording again."
                        )
                );
            }

            if (samples.Count > most)
            {
                throw new VoiceException($"The recording lasts more than {longest.TotalSeconds:0.#} s. Choose a shorter part of it.");
            }
        }

        return samples.Count > 0
            ? new AudioClip(samples.ToArray(), rate)
            : throw new VoiceException("The recording holds no samples. Choose another, or set its position to its beginning.");
    }

    /// <summary>Reads a file or stream of NAudio's from where it stands.</summary>
    /// <inheritdoc cref="ReadClip(ISampleProvider, TimeSpan, CancellationToken)"/>
    public static AudioClip ReadClip(this WaveStream source, TimeSpan longest, CancellationToken cancellationToken = default) =>
        source.ToSampleProvider().ReadClip(longest, cancellationToken);
}
