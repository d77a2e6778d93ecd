namespace Chatterbox.T3;

/// <summary>A decoder whose step advances its sequences one after the other, each over keys and values of its own.</summary>
/// <param name="model">The model.</param>
/// <param name="capacity">Most sequences that may be open at once.</param>
internal abstract class SequentialT3Decoder<TSequence>(T3Model model, int capacity) : IT3Decoder
    where TSequence : T3Sequence
{
    private int _open;

    /// <inheritdoc/>
    public int Capacity => capacity;

    /// <inheritdoc/>
    public int Width => 1;

    /// <summary>The model.</summary>
    protected T3Model Model => model;

    /// <inheritdoc/>
    T3Sequence IT3Decoder.Start(IReadOnlyList<int> textTokens, T3Prompt voice, SamplingOptions sampling, NoiseSource noise) =>
        Start(textTokens, voice, sampling, noise);

    /// <inheritdoc cref="IT3Decoder.Start"/>
    public TSequence Start(IReadOnlyList<int> textTokens, T3Prompt voice, SamplingOptions sampling, NoiseSource noise)
    {
        var settings = SamplingSettings.Resolve(sampling, model.Config);
        if (_open == capacity)
        {
            throw new InvalidOperationException($"All {capacity} sequences are open; dispose one first.");
        }

        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        var prefix = model.Prefix(textTokens, voice, settings);
        var sequence = Create(textTokens.Count, settings, noise, () => _open--);
        _open++;
        try
        {
            Prefill(sequence, prefix, settings);
            return sequence;
        }
        catch
        {
            sequence.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public void Step(params ReadOnlySpan<T3Sequence> sequences)
    {
        using var mode = inference_mode();
        foreach (var sequence in sequences)
        {
            if (!sequence.Finished)
            {
                Advance((TSequence)sequence);
            }
        }
    }

    /// <inheritdoc/>
    public abstract void Dispose();

    /// <summary>Creates a sequence that has not begun.</summary>
    /// <param name="textTokens">Number of text tokens.</param>
    /// <param name="settings">How tokens are chosen.</param>
    /// <param name="noise">The request's random numbers.</param>
    /// <param name="release">Called once when the sequence is disposed.</param>
    protected abstract TSequence Create(int textTokens, SamplingSettings settings, NoiseSource noise, Action release);

    /// <summary>Runs the model over everything before the first speech token.</summary>
    /// <param name="sequence">The sequence.</param>
    /// <param name="prefix">Embeddings, [rows, time, hidden].</param>
    /// <param name="settings">How tokens are chosen.</param>
    protected abstract void Prefill(TSequence sequence, Tensor prefix, SamplingSettings settings);

    /// <summary>Advances a sequence by a step.</summary>
    protected abstract void Advance(TSequence sequence);
}
