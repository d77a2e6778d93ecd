using Chatterbox.Engine;

namespace Chatterbox.Streaming;

/// <summary>One text being spoken chunk by chunk.</summary>
/// <remarks>
/// A chunk is made once T3 has made the tokens that the plan has for it, and of those tokens alone, however far T3 has come
/// by then. Where the first chunk is all of the speech, it is what <see cref="ChatterboxModel.Synthesize"/> makes, sample
/// for sample.
/// </remarks>
/// <param name="tokens">The speech tokens as they come.</param>
/// <param name="assembler">Tokens to samples.</param>
/// <param name="whole">All tokens to samples at once.</param>
/// <param name="plan">How many tokens each chunk has.</param>
/// <param name="pace">How fast the model is; null where that is not known.</param>
/// <param name="overlaps">Whether T3 goes on, on another thread, while a chunk is made.</param>
/// <param name="noise">The request's random numbers, which go with the stream.</param>
internal sealed class SpeechStream(
    TokenStream tokens, ChunkAssembler assembler, Func<IReadOnlyList<int>, CancellationToken, float[]> whole,
    ChunkPlan plan, ChunkPace? pace, bool overlaps, NoiseSource noise) : IChunkedSpeech
{
    private int _chunks;

    /// <inheritdoc/>
    public required int TextTokens { get; init; }

    /// <inheritdoc/>
    public required IReadOnlyList<string> UnknownCharacters { get; init; }

    /// <inheritdoc/>
    public IReadOnlyList<int> SpeechTokens => tokens.Spoken;

    /// <inheritdoc/>
    public bool ReachedLimit => tokens.ReachedLimit;

    /// <inheritdoc/>
    public bool IsOver { get; private set; }

    /// <inheritdoc/>
    public TimeSpan? NextTakes => pace is null || IsOver ? null : plan.TimeFor(_chunks, tokens.Spoken.Count, pace);

    /// <inheritdoc/>
    public float[] NextChunk(CancellationToken cancel = default)
    {
        if (IsOver)
        {
            throw new InvalidOperationException("The speech is over: look at IsOver before asking for another chunk.");
        }

        using var mode = inference_mode();
        var wanted = plan.TokensFor(_chunks);
        tokens.Generate(wanted, cancel);
        cancel.ThrowIfCancellationRequested();
        var last = tokens.Spoken.Count < wanted;
        int[] spoken = [.. tokens.Spoken.Take(wanted)];
        if (last)
        {
            tokens.Dispose();    // T3's memory is free, and the random numbers stand where it left them
        }

        var samples = last && _chunks == 0 ? whole(spoken, cancel) : Assemble(spoken, last, cancel);
        _chunks++;
        IsOver = last;
        return samples;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        tokens.Dispose();
        assembler.Dispose();
        noise.Dispose();
    }

    private float[] Assemble(int[] spoken, bool last, CancellationToken cancel)
    {
        // The first sound is waited for: beside T3 its pass takes up to twice as long.
        using var ahead = last || !overlaps || _chunks == 0 ? null : new RunAhead(tokens, plan.TokensFor(_chunks + 1));
        return assembler.Next(spoken, last, cancel);
    }

    /// <summary>T3 going on to the next chunk's tokens on a thread of its own, until it has them or is disposed.</summary>
    private sealed class RunAhead : IDisposable
    {
        private readonly CancellationTokenSource _stop = new();
        private readonly Task _task;

        // Not a thread of the pool, which may have none free for a while.
        public RunAhead(TokenStream tokens, int count) => _task = Task.Factory.StartNew(
            () => tokens.Generate(count, _stop.Token), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);

        public void Dispose()
        {
            _stop.Cancel();
            _task.GetAwaiter().GetResult();
            _stop.Dispose();
        }
    }
}
