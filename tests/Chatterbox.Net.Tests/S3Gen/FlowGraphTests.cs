using Chatterbox.Models;
using Chatterbox.Ops;
using Chatterbox.Ops.Cuda;
using Chatterbox.S3Gen;
using Chatterbox.Weights;

namespace Chatterbox.Tests.S3Gen;

/// <summary>The graph of the flow's step against the same kernels launched one by one.</summary>
public class FlowGraphTests
{
    [Theory]
    [InlineData("s3gen", 200)]
    [InlineData("s3gen_meanflow", 333)]
    public void A_graph_computes_what_its_launches_do(string file, int frames)
    {
        var device = Gpu.Required();
        var config = file == "s3gen" ? S3GenConfig.Standard : S3GenConfig.MeanFlow;
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        using var store = new WeightStore(SyntheticTensors.FullSize(file), device);
        using var passing = new OwnedWeights();
        var flow = new S3GenModel(config, store.Root["flow"], TorchOps.Plain, Precision.Fast).Flow;
        Assert.Null(flow.NotFusedReason);
        var generator = new Generator(5);
        Tensor Draw(params long[] shape) => randn(shape, generator: generator).to(device);
        var (noise, conditions) = (Draw(1, frames, 80), new FlowConditions(Draw(1, frames, 80), Draw(1, 80), Draw(1, frames, 80)));
        var recorded = flow.Integrate(noise, conditions);

        using var fused = new FusedFlow(
            config,
            new(config, store.Root["flow"]["decoder"]["estimator"].InHost(passing), TorchOps.Plain, ScalarType.Float32),
            flow.Times
        );
        using var context = CudaContext.Use(device.index);
        var padded = (frames + FusedFlow.Bucket - 1) / FusedFlow.Bucket * FusedFlow.Bucket;
        using var buffers = new FlowBuffers(config, 2 * padded, device);
        buffers.Shape(1, padded);
        buffers.Fill([new(noise, conditions)]);
        for (var step = 0; step < config.Flow.Steps; step++)
        {
            fused.Launch(buffers, CudaStream.OfTorch);
        }

        Assert.Equal(recorded.cpu(), buffers.Mel.narrow(1, 0, frames).cpu());
    }
}
