using System.Globalization;
using Chatterbox.Audio;
using Chatterbox.Ops.Cuda;
using Chatterbox.Voices;

namespace Chatterbox;

/// <summary>How long recordings are converted: in windows that share some speech and are joined where it is quiet.</summary>
/// <param name="WindowTokens">Most tokens converted at once: 30 s. Memory grows with their square.</param>
/// <param name="SearchTokens">Stretch at a window's end within which the quietest moment becomes the joint.</param>
/// <param name="ContextTokens">Tokens that either window goes on beyond the joint, so that it is not at a window's edge.</param>
internal sealed record ConversionConfig(int WindowTokens = 750, int SearchTokens = 100, int ContextTokens = 12);

/// <summary>Recording and target voice to the same words in that voice, window by window.</summary>
/// <remarks>Ports generate of ChatterboxVC (chatterbox vc.py), which fails past 81 s. Up to a window's length the result is its.</remarks>
internal sealed class VoiceConverter
{
    private const int SourceRate = 16_000;
    private const int SourceSamplesPerToken = SourceRate / SpeechResult.TokensPerSecond;

    private readonly SpeechDecoder _speechDecoder;
    private readonly S3GenPrompt _target;
    private readonly NoiseSource _noise;
    private readonly ConversionConfig _config;
    private readonly int[] _tokens;
    private readonly List<Window> _windows;
    private readonly float[] _speech;
    private int _next;
    private int _given;

    /// <summary>Listens to a recording.</summary>
    /// <param name="speechDecoder">Speaks.</param>
    /// <param name="tokenizer">Hears.</param>
    /// <param name="source">Speech.</param>
    /// <param name="target">Who is to have said it.</param>
    /// <param name="noise">The request's randomness.</param>
    /// <param name="config">Lengths of windows.</param>
    /// <exception cref="VoiceException">The recording cannot be used.</exception>
    public VoiceConverter(
        SpeechDecoder speechDecoder,
        SpeechTokenizer tokenizer,
        AudioClip source,
        S3GenPrompt target,
        NoiseSource noise,
        ConversionConfig? config = null
    )
    {
        Check(source);
        (_speechDecoder, _target, _noise, _config) = (speechDecoder, target, noise, config ?? new());
        var samples16 = Resampler.Resample(source.Samples.Span, source.SampleRate, SourceRate);
        _tokens = Tokenize(tokenizer, samples16);
        _windows = Cut(samples16);
        _speech = new float[_tokens.Length * speechDecoder.SamplesPerToken];
    }

    /// <summary>Speech tokens that the recording was heard as.</summary>
    public IReadOnlyList<int> SpeechTokens => _tokens;

    /// <summary>Whether nothing is left to convert.</summary>
    public bool IsOver => _next == _windows.Count;

    /// <summary>Stages that failed and succeeded with plain operations, so far; once for each window.</summary>
    public IReadOnlyList<SynthesisStage> Recovered { get; private set; } = [];

    /// <summary>Converts the next window.</summary>
    /// <param name="progress">Receives the share of the whole that is done.</param>
    /// <param name="cancellationToken">Looked at before each step of the flow.</param>
    /// <returns>Samples at 24 kHz that follow those returned before: all that no later window changes.</returns>
    /// <exception cref="VoiceException">The voice does not fit.</exception>
    /// <exception cref="InvalidOutputException">A stage's output is not finite.</exception>
    public float[] Next(IProgress<double>? progress = null, CancellationToken cancellationToken = default)
    {
        var window = _windows[_next];
        var part = progress is null ? null : new Part(progress, _next, _windows.Count);
        var (samples, recovered) = _speechDecoder.MakeValid(
            _noise,
            (speechDecoder, checks) =>
            {
                var spoken = speechDecoder.Speak(_tokens[window.Start..window.End], _target, _noise, checks, part, cancellationToken);
                return checks.Read(_next == 0 ? speechDecoder.FadeIn(spoken) : spoken, SynthesisStage.HiFT);
            }
        );
        Recovered = recovered is { } stage ? [.. Recovered, stage] : Recovered;
        _next++;
        if (_windows.Count == 1)
        {
            return samples;
        }

        Join(samples, window);
        var settled = IsOver ? _speech.Length : Beginning(_windows[_next]);
        var made = _speech[_given..settled];
        _given = settled;
        return made;
    }

    private static void Check(AudioClip source)
    {
        var samples = source.Samples.Span;
        if (samples.ContainsAnyExceptInRange(float.MinValue, float.MaxValue))
        {
            var wrong = samples.IndexOfAnyExceptInRange(float.MinValue, float.MaxValue);
            throw new VoiceException(
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"The recording holds a sample that is {samples[wrong]}, not a number between −1 and 1. Export it again, as 16-bit "
                        + $"PCM for instance."
                )
            );
        }
    }

    private static int[] Tokenize(SpeechTokenizer tokenizer, float[] samples16)
    {
        using var scope = NewDisposeScope();
        return [.. tokenizer.Forward(HostTransfers.Place(samples16, tokenizer.Device)).to(ScalarType.Int32).cpu().data<int>()];
    }

    /// <summary>The windows; each but the first begins to be heard at its joint.</summary>
    private List<Window> Cut(float[] samples16)
    {
        var windows = new List<Window>();
        var (start, joint) = (0, 0);
        while (_tokens.Length - start > _config.WindowTokens)
        {
            var end = start + _config.WindowTokens;
            windows.Add(new Window(start, joint, end));
            var last = end - _config.ContextTokens;
            joint = Enumerable
                .Range(last - _config.SearchTokens, _config.SearchTokens + 1)
                .MinBy(token => LoudnessAround(token, samples16));
            start = joint - _config.ContextTokens;
        }

        windows.Add(new Window(start, joint, _tokens.Length));
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
    private void Join(float[] spoken, Window window)
    {
        // Where the voice's mel is longer than its tokens, the sound lacks a frame at its beginning: its end is in place.
        var end = window.End * _speechDecoder.SamplesPerToken;
        var (from, shift) = (Beginning(window), end - spoken.Length);
        for (var i = Math.Max(from, shift); i < end; i++)
        {
            var fade = window.Joint == 0 ? 0 : _speechDecoder.SamplesPerToken;
            var weight = i - from >= fade ? 1 : 0.5f - (0.5f * MathF.Cos(MathF.PI * (i - from + 0.5f) / fade));
            _speech[i] += weight * (spoken[i - shift] - _speech[i]);
        }
    }

    /// <summary>The first sample that a window has a part in.</summary>
    private int Beginning(Window window) =>
        window.Joint == 0 ? 0 : (window.Joint * _speechDecoder.SamplesPerToken) - (_speechDecoder.SamplesPerToken / 2);

    /// <param name="Start">Its first token.</param>
    /// <param name="Joint">The token from which on it is heard.</param>
    /// <param name="End">Behind its last token.</param>
    private readonly record struct Window(int Start, int Joint, int End);

    private sealed class Part(IProgress<double> whole, int part, int parts) : IProgress<double>
    {
        public void Report(double value) => whole.Report((part + value) / parts);
    }
}
