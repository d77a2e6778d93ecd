using System.Runtime.CompilerServices;
using Chatterbox.Engine;

namespace Chatterbox.Service.Streaming;

/// <summary>A piece of a request could not be spoken, so the rest is of no use.</summary>
internal sealed class PieceFailedException(int piece, Exception inner) : Exception($"Piece {piece + 1} could not be spoken: {inner.Message}", inner);

/// <summary>When a piece is heard.</summary>
/// <param name="Piece">Its index.</param>
/// <param name="StartSeconds">From the beginning of the speech to its first sample, at normal tempo.</param>
/// <param name="EndSeconds">To its last.</param>
internal sealed record PieceTime(int Piece, double StartSeconds, double EndSeconds);

/// <summary>The pieces of a text, whole or chunk by chunk, joined into one stretch of speech: faded at their ends, so that
/// nothing clicks, with the plan's pauses between them.</summary>
internal sealed class JoinedSpeech(TextPlan plan)
{
    private const int MostCharactersTold = 100; // a header is no place for a text
    private const int FadeSamples = SpeechResult.SampleRate / 200; // 5 ms

    private float[] _pause = Silence(plan.PausesSeconds[0]); // before the first samples
    private float[] _held = []; // the last samples of a piece are faded once it is known that they are
    private bool _begins = true;
    private int _heard;         // samples so far
    private int _pieceStart;

    /// <summary>When the pieces that have been spoken to their ends are heard.</summary>
    public IReadOnlyList<PieceTime> Times { get; private set; } = [];

    /// <summary>Text tokens spoken so far.</summary>
    public int TextTokens { get; private set; }

    /// <summary>Speech tokens made so far.</summary>
    public int SpeechTokens { get; private set; }

    /// <summary>What was done to pieces that went wrong, so far.</summary>
    public IReadOnlyList<string> Repairs { get; private set; } = [];     // exchanged, not changed: an encoder reads ahead of who asks

    /// <summary>Characters that the model does not know, so far.</summary>
    public IReadOnlyList<string> UnknownCharacters { get; private set; } = [];

    /// <summary>The speech, one block for each chunk that is heard, once.</summary>
    /// <exception cref="PieceFailedException">A piece could not be spoken.</exception>
    public async IAsyncEnumerable<float[]> Blocks(IAsyncEnumerable<SpeechEvent> events, [EnumeratorCancellation] CancellationToken cancel = default)
    {
        await foreach (var happened in events.WithCancellation(cancel))
        {
            if (happened is PieceFailed failed)
            {
                throw new PieceFailedException(failed.Piece, failed.Error);
            }

            if (Join((AudioChunk)happened) is { Length: > 0 } block)
            {
                yield return block;
            }
        }
    }

    /// <summary>What is heard once another chunk is there.</summary>
    /// <param name="chunk">The chunk; its piece is one of the plan's.</param>
    /// <returns>The chunk but for its last samples, which wait for the next; with the pause behind it where it ends a piece.</returns>
    public float[] Join(AudioChunk chunk)
    {
        TextTokens += chunk.TextTokens;
        SpeechTokens += chunk.SpeechTokens;
        if (chunk.Repair is { } repair)
        {
            Repairs = [.. Repairs, $"piece {chunk.Piece + 1}: {repair}"];
        }

        if (chunk.UnknownCharacters.Count > 0)
        {
            UnknownCharacters = [.. UnknownCharacters.Union(chunk.UnknownCharacters)];
        }

        float[] samples = [.. _held, .. chunk.Samples];
        if (_begins)
        {
            FadeIn(samples);
            _pieceStart = _heard + _pause.Length;
        }

        _begins = chunk.EndsPiece || (_begins && samples.Length == 0);
        var pause = Silence(chunk.EndsPiece ? plan.PausesSeconds[chunk.Piece + 1] : 0);
        if (chunk.EndsPiece)
        {
            FadeOut(samples);
        }

        var kept = chunk.EndsPiece ? 0 : Math.Min(FadeSamples, samples.Length);
        float[] block = [.. _pause, .. samples[..^kept], .. pause];
        if (chunk.EndsPiece)
        {
            Times = [.. Times, new(chunk.Piece, Seconds(_pieceStart), Seconds(_heard + block.Length - pause.Length))];
        }

        _heard += block.Length;
        (_pause, _held) = ([], samples[^kept..]);
        return block;
    }

    /// <summary>Tells in an answer's headers what is known so far.</summary>
    public void Tell(IHeaderDictionary headers)
    {
        if (Repairs.Count > 0)
        {
            headers["X-Chatterbox-Repairs"] = string.Join(", ", Repairs);
        }

        if (UnknownCharacters.Count > 0)
        {
            var codes = UnknownCharacters.SelectMany(character => character.EnumerateRunes()).Distinct().Take(MostCharactersTold);
            headers["X-Chatterbox-Unknown-Characters"] = string.Join(", ", codes.Select(rune => $"U+{rune.Value:X4}"));
        }
    }

    /// <summary>So many seconds of nothing.</summary>
    public static float[] Silence(double seconds) => new float[(int)Math.Round(seconds * SpeechResult.SampleRate)];

    private static double Seconds(int samples) => samples / (double)SpeechResult.SampleRate;

    private static void FadeIn(Span<float> samples)
    {
        var length = Math.Min(FadeSamples, samples.Length);
        for (var i = 0; i < length; i++)
        {
            samples[i] *= (float)i / length;
        }
    }

    private static void FadeOut(Span<float> samples)
    {
        samples.Reverse();
        FadeIn(samples);
        samples.Reverse();
    }
}
