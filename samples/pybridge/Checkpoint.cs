using System.Buffers.Binary;
using System.Text.Json;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

/// <summary>A module of every tensor of a safetensors file, by the names that they have there.</summary>
internal sealed class Checkpoint : nn.Module
{
    private readonly Dictionary<string, Parameter> _tensors = [];

    /// <summary>Makes room for the tensors of a file; load_safetensors fills it.</summary>
    public Checkpoint(string path)
        : base("checkpoint")
    {
        using var file = new BinaryReader(File.OpenRead(path));
        using var header = JsonDocument.Parse(file.ReadBytes((int)BinaryPrimitives.ReadInt64LittleEndian(file.ReadBytes(sizeof(long)))));
        foreach (var entry in header.RootElement.EnumerateObject().Where(entry => entry.Name != "__metadata__"))
        {
            var type = entry.Value.GetProperty("dtype").GetString() switch { "F32" => ScalarType.Float32, "F16" => ScalarType.Float16, "BF16" => ScalarType.BFloat16, var other => throw new NotSupportedException(other) };
            var shape = entry.Value.GetProperty("shape").EnumerateArray().Select(size => size.GetInt64()).ToArray();
            _tensors.Add(entry.Name, nn.Parameter(zeros(shape, type)));
        }
    }

    /// <summary>A tensor by its name.</summary>
    public Parameter this[string name] => _tensors[name];

    /// <inheritdoc/>
    public override Dictionary<string, Tensor> state_dict(Dictionary<string, Tensor>? destination = null, string? prefix = null) =>
        _tensors.ToDictionary(parameter => parameter.Key, parameter => (Tensor)parameter.Value);

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        foreach (var parameter in _tensors.Values)
        {
            parameter.Dispose();
        }

        base.Dispose(disposing);
    }
}
