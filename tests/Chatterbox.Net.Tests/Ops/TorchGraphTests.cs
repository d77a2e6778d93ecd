using Chatterbox.Ops.Cuda;

namespace Chatterbox.Tests.Ops;

/// <summary>Torch's operations as graphs against the same operations launched one by one.</summary>
public class TorchGraphTests
{
    [Fact]
    public void A_graph_makes_what_the_operations_make_of_whatever_lies_in_its_input()
    {
        var device = Gpu.Required();
        Assert.Null(TorchGraph.UnsupportedReason(device));
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        var weights = Draw(device, 64, 64, 3);
        var input = Draw(device, 1, 64, 512);
        using var graphs = new TorchGraphs<int>(device, most: 3, length => Work(input.narrow(2, 0, length), weights), atOnce: false);
        var random = new Random(3);
        for (var i = 0; i < 60; i++)
        {
            var length = 64 * random.Next(1, 7); // more shapes than are kept
            var given = Draw(device, 1, 64, length);
            var ours = graphs.Run(length, () => input.narrow(2, 0, length).copy_(given));
            Assert.Equal(Work(given, weights), ours);
        }
    }

    [Fact]
    public async Task Two_threads_with_graphs_of_their_own_and_one_without_do_not_disturb_each_other()
    {
        var device = Gpu.Required();
        var threads = Enumerable
            .Range(0, 3)
            .Select(seed =>
                Task.Factory.StartNew(
                    () =>
                    {
                        using var mode = inference_mode();
                        using var scope = NewDisposeScope();
                        var weights = Draw(device, 64, 64, 3);
                        var input = Draw(device, 1, 64, 512);
                        using var graphs = new TorchGraphs<int>(device, most: 2, length => Work(input.narrow(2, 0, length), weights));
                        for (var i = 0; i < 40; i++)
                        {
                            using var step = NewDisposeScope();
                            var length = 128 * (1 + (i % 4));
                            var given = Draw(device, 1, 64, length);
                            var ours = seed == 0 ? Work(given, weights) : graphs.Run(length, () => input.narrow(2, 0, length).copy_(given));
                            Assert.Equal(Work(given, weights), ours);
                        }
                    },
                    TestContext.Current.CancellationToken,
                    TaskCreationOptions.LongRunning,
                    TaskScheduler.Default
                )
            );
        await Task.WhenAll(threads);
    }

    [Fact]
    public void Other_work_beside_a_graph_changes_neither()
    {
        var device = Gpu.Required();
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        var weights = Draw(device, 64, 64, 3);
        var input = Draw(device, 1, 64, 512);
        using var graphs = new TorchGraphs<int>(device, most: 1, _ => Work(input, weights));
        for (var i = 0; i < 20; i++)
        {
            var (given, others) = (Draw(device, 1, 64, 512), Draw(device, 1, 64, 512));
            Tensor? beside = null;
            var ours = graphs.Run(1, () => input.copy_(given), () => beside = Work(others, weights));
            Assert.Equal(Work(given, weights), ours);
            Assert.Equal(Work(others, weights), beside);
        }
    }

    [Fact]
    public void Work_that_waits_for_the_GPU_is_refused_and_harms_nobody()
    {
        var device = Gpu.Required();
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        var input = Draw(device, 1, 64, 64);
        var weights = Draw(device, 64, 64, 3);
        var calls = 0;
        using var failing = new TorchGraphs<int>(device, most: 1, _ => calls++ == 0 ? input + 1 : input + input.sum().item<float>());
        Assert.ThrowsAny<Exception>(() => failing.Run(1, () => { }));
        calls = 0;
        using var faulty = new TorchGraphs<int>(device, most: 1, _ => calls++ == 0 ? input + 1 : throw new InvalidOperationException());
        Assert.Throws<InvalidOperationException>(() => faulty.Run(1, () => { }));
        using var graphs = new TorchGraphs<int>(device, most: 1, _ => Work(input, weights));
        for (var i = 0; i < 3; i++)
        {
            Assert.Equal(Work(input, weights), graphs.Run(1, () => { }));
        }
    }

    [Fact]
    public void Graphs_that_are_dropped_leave_nothing_behind()
    {
        var device = Gpu.Required();
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        var weights = Draw(device, 64, 64, 3);
        var input = Draw(device, 1, 64, 512);
        using var graphs = new TorchGraphs<int>(device, most: 2, length => Work(input.narrow(2, 0, length), weights));
        long before = 0;
        for (var i = 0; i < 40; i++)
        {
            graphs.Run(64 * (1 + (i % 3)), () => { }).Dispose();
            if (i == 10)
            {
                before = LiveTensors.Settled();
            }
        }

        graphs.Run(64 * 2, () => { }).Dispose(); // the eleventh's shape: as many graphs as then
        Assert.Equal(before, Tensor.TotalCount);
    }

    private static Tensor Work(Tensor x, Tensor weights)
    {
        using var scope = NewDisposeScope();
        for (var i = 0; i < 5; i++)
        {
            x = nn.functional.silu(nn.functional.conv1d(x, weights, padding: 1)) * 0.1 + x;
            x = nn.functional.layer_norm(matmul(x, x.transpose(1, 2)).softmax(-1).matmul(x), [x.shape[2]]);
        }

        return x.MoveToOuterDisposeScope();
    }

    private static Tensor Draw(Device device, params long[] shape) => randn(shape).to(device);
}
