using System.Runtime.CompilerServices;
using System.Runtime.ExceptionServices;
using Chatterbox.Text;

namespace Chatterbox.Engine;

/// <summary>The time of a piece in the speech of a text.</summary>
/// <param name="Piece">Its index.</param>
/// <param name="StartSeconds">From the beginning of the speech to its first sample, at normal tempo.</param>
/// <param name="EndSeconds">To its last.</param>
public sealed record PieceTime(int Piece, double StartSeconds, double EndSeconds);

/// <summary>Joins the pieces of a text, whole or chunk by chunk: each is faded at its ends, so that nothing clicks, and the
/// plan's pauses are put between them.</summary>
/// <remarks>For one request. <see cref="SpeechStreaming"/> does all of it for a text.</remarks>
/// <param name="plan">The pieces and the pauses.</param>
public sealed class JoinedSpeech(TextPlan plan)
{
    private const int FadeSamples = SpeechResult.SampleRate / 200; // 5 ms

    private float[] _pause = Silence(plan.PausesSeconds[0]); // before the first samples
    private float[] _held = []; // the last samples of a piece are faded once it is known that they are
    private bool _begins = true;
    private int _heard; // samples so far
    private int _pieceStart;

    /// <summary>The times of the pieces that are complete.</summary>
    public IReadOnlyList<PieceTime> Times { get; private set; } = [];

    /// <summary>Text tokens spoken so far.</summary>
    public int TextTokens { get; private set; }

    /// <summary>Speech tokens generated so far.</summary>
    public int SpeechTokens { get; private set; }

    /// <summary>What was done to pieces that went wrong, so far.</summary>
    public IReadOnlyList<string> Repairs { get; private set; } = []; // exchanged, not changed: an encoder reads ahead of the caller

    /// <summary>Characters that the model does not know, so far.</summary>
    public IReadOnlyList<string> UnknownCharacters { get; private set; } = [];

    /// <summary>The speech, one block for each chunk that has audio; read once.</summary>
    /// <param name="events">The events of the request.</param>
    /// <param name="cancellationToken">Ends the reading.</param>
    /// <exception cref="ChatterboxException">A piece could not be spoken, so that the rest is of no use.</exception>
    public async IAsyncEnumerable<ReadOnlyMemory<float>> Blocks(
        IAsyncEnumerable<SpeechEvent> events,
        [EnumeratorCancellation] CancellationToken cancellationToken = default
    )
    {
        await foreach (var happened in events.WithCancellation(cancellationToken).ConfigureAwait(false))
        {
            if (happened is PieceFailed failed)
            {
                ExceptionDispatchInfo.Throw(failed.Error);
            }

            if (Join((AudioChunk)happened) is { Length: > 0 } block)
            {
                yield return block;
            }
        }
    }

    /// <summary>Joins the next chunk.</summary>
    /// <param name="chunk">The chunk; its piece is one of the plan's.</param>
    /// <returns>The samples that follow those returned before: the chunk without its last samples, which wait for the next; all of them and
    /// the
    /// pause after the piece where it ends one.</returns>
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

        float[] samples = [.. _held, .. chunk.Samples.Span];
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

    /// <summary>Silence at <see cref="SpeechResult.SampleRate"/>.</summary>
    /// <param name="seconds">Its length.</param>
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
