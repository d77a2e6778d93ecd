using Chatterbox.Ops.Cpu;

namespace Chatterbox.T3.Fused;

/// <summary>The decoder on a CPU's fast steps: a step reads the weights once for all of its sequences.</summary>
/// <param name="model">The model, whose <see cref="T3Model.Forward"/> prefills.</param>
/// <param name="backbone">Its backbone.</param>
/// <param name="head">Its speech head.</param>
/// <param name="capacity">Most sequences that may be open at once.</param>
internal sealed class CpuT3Decoder(T3Model model, CpuBackbone backbone, CpuLinear head, int capacity) : IT3Decoder
{
    private readonly PlainT3Decoder _plain = new(model, capacity);
    private readonly List<PlainT3Sequence> _batch = [];

    /// <inheritdoc/>
    public int Capacity => capacity;

    /// <inheritdoc/>
    public int Width => ThreadedProducts.MostRows / model.Config.MaxRows;

    /// <inheritdoc/>
    public T3Sequence Start(IReadOnlyList<int> textTokens, T3Prompt voice, SamplingOptions sampling, NoiseSource noise) =>
        _plain.Start(textTokens, voice, sampling, noise);

    /// <inheritdoc/>
    public void Step(params ReadOnlySpan<T3Sequence> sequences)
    {
        using var mode = inference_mode();
        foreach (var sequence in sequences)
        {
            // The last token is fed when the next is wanted: the first sequence's logits come from the prefill.
            if (!sequence.Finished && sequence.SpeechTokens.Count > 0)
            {
                _batch.Add((PlainT3Sequence)sequence);
                if (_batch.Count == Width)
                {
                    Feed();
                }
            }
        }

        Feed();
        foreach (var sequence in sequences)
        {
            if (!sequence.Finished)
            {
                ((PlainT3Sequence)sequence).Draw();
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _plain.Dispose();

    // Runs the model over the last token of each sequence of the batch.
    private void Feed()
    {
        if (_batch.Count == 0)
        {
            return;
        }

        using var scope = NewDisposeScope();
        var (rows, embedded) = (new List<StepRow>(), new List<Tensor>());
        foreach (var sequence in _batch)
        {
            sequence.Fed++;
            embedded.Add(model.Embed(sequence.LastToken, sequence.Fed).squeeze(0).expand(sequence.Rows.Count, -1));
            for (var row = 0; row < sequence.Rows.Count; row++)
            {
                rows.Add(new(sequence.Cache, sequence.Rows.Slot + row, sequence.Rows.Start));
            }
        }

        var logits = head.Forward(backbone.Step(cat(embedded), rows.ToArray()));
        var first = 0;
        foreach (var sequence in _batch)
        {
            sequence.Logits.copy_(logits.narrow(0, first, sequence.Rows.Count));
            sequence.Rows = sequence.Rows with { Start = sequence.Rows.Start + 1 };
            first += sequence.Rows.Count;
        }

        _batch.Clear();
    }
}
