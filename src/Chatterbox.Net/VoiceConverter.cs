using System.Globalization;
using Chatterbox.Audio;
using Chatterbox.Voices;

namespace Chatterbox;

/// <summary>How long recordings are converted: in windows that share some speech and are joined where it is quiet.</summary>
/// <param name="WindowTokens">Most tokens converted at once: 30 s. Memory grows with their square.</param>
/// <param name="SearchTokens">Stretch at a window's end within which the quietest moment becomes the joint.</param>
/// <param name="ContextTokens">Tokens that either window goes on beyond the joint, so that it is not at a window's edge.</param>
internal sealed record ConversionConfig(int WindowTokens = 750, int SearchTokens = 100, int ContextTokens = 12);

/// <summary>Recording and target voice to the same words in that voice.</summary>
/// <remarks>Ports generate of ChatterboxVC (chatterbox vc.py), which fails past 81 s. Up to a window's length the result is its.</remarks>
internal sealed class VoiceConverter(Vocalist vocalist, SpeechTokenizer tokenizer, Device device, ConversionConfig? config = null)
{
    private const int SourceRate = 16_000;
    private const int SourceSamplesPerToken = SourceRate / SpeechResult.TokensPerSecond;

    private readonly ConversionConfig _config = config ?? new();

    /// <param name="source">Speech.</param>
    /// <param name="target">Who is to have said it.</param>
    /// <param name="noise">The request's randomness.</param>
    /// <param name="progress">Told the share that is done.</param>
    /// <param name="cancel">Looked at before each step of the flow.</param>
    /// <returns>Samples at 24 kHz, and the speech tokens they were made of.</returns>
    /// <exception cref="VoiceException">The recording cannot be used, or the voice does not fit.</exception>
    public (float[] Samples, int[] SpeechTokens) Convert(
        AudioClip source, S3GenPrompt target, NoiseSource noise, IProgress<double>? progress = null, CancellationToken cancel = default)
    {
        Check(source);
        using var scope = NewDisposeScope();
        var samples16 = Resampler.Resample(source.Samples, source.SampleRate, SourceRate);
        var tokens = Tokenize(samples16);
        if (tokens.Length <= _config.WindowTokens)
        {
            return (Vocalist.Samples(vocalist.FadeIn(vocalist.Speak(tokens, target, noise, progress, cancel))), tokens);
        }

        var windows = Cut(tokens.Length, samples16);
        var speech = new float[tokens.Length * vocalist.SamplesPerToken];
        foreach (var (i, window) in windows.Index())
        {
            using var each = NewDisposeScope();
            var part = progress is null ? null : new Part(progress, i, windows.Count);
            var spoken = vocalist.Speak(tokens[window.Start..window.End], target, noise, part, cancel);
            Join(speech, Vocalist.Samples(i == 0 ? vocalist.FadeIn(spoken) : spoken), window);
        }

        return (speech, tokens);
    }

    private static void Check(AudioClip source)
    {
        var wrong = Array.FindIndex(source.Samples, sample => !float.IsFinite(sample));
        if (wrong >= 0)
        {
            throw new VoiceException(string.Create(CultureInfo.InvariantCulture,
                $"The recording holds a sample that is {source.Samples[wrong]}, not a number between −1 and 1. Export it again, as 16-bit PCM for instance."));
        }
    }

    private int[] Tokenize(float[] samples16)
    {
        using var scope = NewDisposeScope();
        return [.. tokenizer.Forward(tensor(samples16, device: device)).to(ScalarType.Int32).cpu().data<int>()];
    }

    /// <summary>The windows; each but the first begins to be heard at its joint.</summary>
    private List<Window> Cut(int tokens, float[] samples16)
    {
        var windows = new List<Window>();
        var (start, joint) = (0, 0);
        while (tokens - start > _config.WindowTokens)
        {
            var end = start + _config.WindowTokens;
            windows.Add(new Window(start, joint, end));
            var last = end - _config.ContextTokens;
            joint = Enumerable.Range(last - _config.SearchTokens, _config.SearchTokens + 1).MinBy(token => LoudnessAround(token, samples16));
            start = joint - _config.ContextTokens;
        }

        windows.Add(new Window(start, joint, tokens));
        return windows;
    }

    private static float LoudnessAround(int token, float[] samples16)
    {
        var middle = token * SourceSamplesPerToken;
        var loudness = 0f;
        foreach (var sample in samples16.AsSpan(middle - SourceSamplesPerToken, 2 * SourceSamplesPerToken))
        {
            loudness += sample * sample;
        }

        return loudness;
    }

    /// <summary>Puts a window's sound behind what is there, faded over the length of a token around the joint.</summary>
    private void Join(float[] speech, float[] spoken, Window window)
    {
        // Where the voice's mel is longer than its tokens, the sound lacks a frame at its beginning: its end is in place.
        var shift = (window.End * vocalist.SamplesPerToken) - spoken.Length;
        var fade = window.Joint == 0 ? 0 : vocalist.SamplesPerToken;
        var from = (window.Joint * vocalist.SamplesPerToken) - (fade / 2);
        for (var i = Math.Max(from, shift); i < window.End * vocalist.SamplesPerToken; i++)
        {
            var weight = i - from >= fade ? 1 : 0.5f - (0.5f * MathF.Cos(MathF.PI * (i - from + 0.5f) / fade));
            speech[i] += weight * (spoken[i - shift] - speech[i]);
        }
    }

    /// <param name="Start">Its first token.</param>
    /// <param name="Joint">The token from which on it is heard.</param>
    /// <param name="End">Behind its last token.</param>
    private readonly record struct Window(int Start, int Joint, int End);

    private sealed class Part(IProgress<double> whole, int part, int parts) : IProgress<double>
    {
        public void Report(double value) => whole.Report((part + value) / parts);
    }
}
