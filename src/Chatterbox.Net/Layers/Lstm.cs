using TorchSharp.Modules;

namespace Chatterbox.Layers;

/// <summary>Stacked one-directional LSTM, gates in the order input, forget, cell, output.
/// Weights for each layer l: weight_ih_l{l} [4·hidden, inputs], weight_hh_l{l} [4·hidden, hidden], bias_ih_l{l}, bias_hh_l{l}
/// [4·hidden].</summary>
/// <remarks>TorchSharp has the LSTM only as a module that owns random weights; these are replaced here.</remarks>
internal sealed class Lstm
{
    private readonly LSTM _lstm;

    public Lstm(WeightScope weights, long inputs, long hidden, int layers)
    {
        _lstm = weights.Own(nn.LSTM(inputs, hidden, layers, batchFirst: true, device: weights.Device, dtype: weights.DType));
        var parameters = _lstm.named_parameters().ToDictionary(p => p.name, p => p.parameter);
        using var mode = no_grad();
        for (var layer = 0; layer < layers; layer++)
        {
            foreach (
                var (name, shape) in new (string, long[])[]
                {
                    ($"weight_ih_l{layer}", [4 * hidden, layer == 0 ? inputs : hidden]),
                    ($"weight_hh_l{layer}", [4 * hidden, hidden]),
                    ($"bias_ih_l{layer}", [4 * hidden]),
                    ($"bias_hh_l{layer}", [4 * hidden]),
                }
            )
            {
                var stored = weights.Get(name, shape);
                parameters[name].copy_(stored);
                weights.Release(stored);
            }
        }

        _lstm.eval();
    }

    /// <param name="x">[rows, time, inputs].</param>
    /// <returns>Outputs of the last layer [rows, time, hidden], and each layer's last hidden state [layers, rows, hidden].</returns>
    public (Tensor Outputs, Tensor Hidden) Forward(Tensor x)
    {
        var (outputs, hidden, cell) = _lstm.call(x, null);
        cell.Dispose();
        return (outputs, hidden);
    }
}
