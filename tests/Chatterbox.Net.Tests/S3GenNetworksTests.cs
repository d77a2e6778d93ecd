using Chatterbox.Ops;
using Chatterbox.Tests.Models;
using Chatterbox.Tests.Weights;
using Chatterbox.Weights;

namespace Chatterbox.Tests;

public class S3GenNetworksTests
{
    private const string Heard = "tokenizer.";

    [Fact]
    public void What_hears_a_recording_is_read_when_it_is_first_needed()
    {
        using var mode = inference_mode();
        var checkpoint = Checkpoint.Open(TinyCheckpoint.Folder);
        var file = Checkpoint.OpenFile(checkpoint.S3GenPath);
        var read = new List<string>();
        using var weights = new WeightStore(
            new ChangedTensors(
                file,
                file.Tensors.Keys.ToDictionary(
                    name => name,
                    name => new Func<Tensor, Tensor>(tensor =>
                    {
                        read.Add(name);
                        return tensor.alias();
                    })
                )
            )
        );
        var networks = new S3GenNetworks(checkpoint.Config, weights.Root, TorchOps.Plain);
        weights.ThrowIfFaulty();
        Assert.DoesNotContain(read, name => name.StartsWith(Heard, StringComparison.Ordinal));
        Assert.NotEmpty(read);

        var reference = networks.Reference;
        Assert.Contains(read, name => name.StartsWith(Heard, StringComparison.Ordinal));
        Assert.Equal(read.Count, read.Distinct().Count());
        Assert.Same(reference, networks.Reference);
    }

    [Fact]
    public void Its_faults_are_known_before()
    {
        using var mode = inference_mode();
        var checkpoint = Checkpoint.Open(TinyCheckpoint.Folder);
        var config = checkpoint.Config with
        {
            Voices = checkpoint.Config.Voices with { Reference = checkpoint.Config.Voices.Reference with { SpeechTokenizer = new() } },
        };
        using var weights = new WeightStore(Checkpoint.OpenFile(checkpoint.S3GenPath));
        _ = new S3GenNetworks(config, weights.Root, TorchOps.Plain);
        Assert.Contains(Heard, weights.Faults(), StringComparison.Ordinal);
    }
}
