using Chatterbox.Ops;
using Chatterbox.Tests.Models;
using Chatterbox.Tests.Parity;

namespace Chatterbox.Tests.Ops;

/// <summary>The check of a device's arithmetic, on devices that are right and on some that are wrong.</summary>
public class DeviceCheckTests
{
    private static readonly SamplingOptions Sampling = new() { Seed = 5 };

    [Theory, InlineData(Precision.Full), InlineData(Precision.Fast)]
    public void This_processor_is_right(Precision precision)
    {
        var found = DeviceCheck.Run(CPU, TorchOps.Plain, precision);
        Close.Report(string.Join('\n', found.Result.Operations.Append<object>($"{found.Result.Duration.TotalMilliseconds:f0} ms")));
        Assert.NotEmpty(found.Result.Operations);
        Assert.Empty(found.Result.Replaced);
        Assert.Equal(precision, found.Precision);
        Assert.Same(TorchOps.Plain, found.Ops);
        Assert.Equal(precision == Precision.Fast, found.Result.Operations.Any(operation => operation.Type == "bfloat16"));
    }

    [Fact]
    public void This_GPU_is_right()
    {
        var device = Gpu.Required();
        _ = DeviceCheck.Run(device, TorchOps.Of(device), Precision.Fast); // loads kernels
        var found = DeviceCheck.Run(device, TorchOps.Of(device), Precision.Fast);
        Close.Report(string.Join('\n', found.Result.Operations.Append<object>($"{found.Result.Duration.TotalMilliseconds:f0} ms")));
        Assert.Contains(found.Result.Operations, operation => operation.Type == "bfloat16");
        Assert.Empty(found.Result.Replaced);
    }

    [Theory]
    [InlineData(nameof(OperationKinds.Convolution))]
    [InlineData(nameof(OperationKinds.Attention))]
    [InlineData(nameof(OperationKinds.LayerNorm))]
    [InlineData(nameof(OperationKinds.Elementwise))]
    public void A_wrong_operation_is_replaced(string kind)
    {
        var found = DeviceCheck.Run(CPU, new WrongOps(Enum.Parse<OperationKinds>(kind)), Precision.Full);
        var replaced = Assert.Single(found.Result.Replaced);
        Assert.Equal(SaferOps.WayOf(Enum.Parse<OperationKinds>(kind)), replaced.UsedInstead);
        Assert.True(replaced.Error > 1e-3);
        Assert.Contains("gives wrong numbers", replaced.ToString(), StringComparison.Ordinal);
        Assert.Empty(DeviceCheck.Run(CPU, found.Ops, Precision.Full).Result.Replaced);
    }

    [Fact]
    public void Several_wrong_operations_are_replaced()
    {
        var found = DeviceCheck.Run(
            CPU,
            new WrongOps(OperationKinds.Convolution | OperationKinds.Attention | OperationKinds.LayerNorm),
            Precision.Full
        );
        Assert.Equal(3, found.Result.Replaced.Count());
        Assert.Empty(DeviceCheck.Run(CPU, found.Ops, Precision.Full).Result.Replaced);
    }

    [Fact]
    public void A_model_on_a_device_with_wrong_convolutions_says_so_and_speaks_as_on_a_right_one()
    {
        using var right = ChatterboxModel.Load(TinyCheckpoint.Folder, new ModelOptions { Device = "cpu" });
        using var wrong = ChatterboxModel.Load(
            TinyCheckpoint.Folder,
            new ModelOptions { Device = "cpu", OpsOf = (_, _) => new WrongOps(OperationKinds.Convolution | OperationKinds.LayerNorm) }
        );
        Assert.Empty(right.SelfCheck.Replaced);
        Assert.Equal(["convolution", "layer norm"], wrong.SelfCheck.Replaced.Select(operation => operation.Operation).Order());

        var expected = right.Synthesize("Hello there.", right.BuiltInVoice!, Sampling);
        var actual = wrong.Synthesize("Hello there.", right.BuiltInVoice!, Sampling);
        Assert.Equal(expected.SpeechTokens, actual.SpeechTokens);
        Close.AssertWithin(
            "speech by other operations",
            Close.RelativeError(tensor(expected.Samples.ToArray()), tensor(actual.Samples.ToArray())),
            1e-3
        );
    }

    [Fact]
    public void A_model_that_no_way_is_right_for_is_not_loaded_and_the_error_says_what_to_do()
    {
        var options = new ModelOptions { Device = "cpu", OpsOf = (_, _) => new WrongOps(OperationKinds.Product) };
        var error = Assert.Throws<SelfCheckException>(() => ChatterboxModel.Load(TinyCheckpoint.Folder, options));
        Assert.Contains("matrix product in float32 gives wrong numbers on cpu", error.Message, StringComparison.Ordinal);
        Assert.Contains("ONEDNN_MAX_CPU_ISA", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_check_can_be_turned_off()
    {
        using var model = ChatterboxModel.Load(
            TinyCheckpoint.Folder,
            new ModelOptions
            {
                Device = "cpu",
                SelfCheck = false,
                OpsOf = (_, _) => new WrongOps(OperationKinds.LayerNorm),
            }
        );
        Assert.Empty(model.SelfCheck.Operations);
        Assert.Equal(TimeSpan.Zero, model.SelfCheck.Duration);
    }

    /// <summary>Operations of which some kinds are wrong by a tenth.</summary>
    private sealed class WrongOps(OperationKinds wrong) : TorchOps
    {
        public override Tensor Convolve(
            Tensor x,
            Tensor weight,
            Tensor? bias,
            long stride = 1,
            long padding = 0,
            long dilation = 1,
            long groups = 1
        ) => Spoil(OperationKinds.Convolution, base.Convolve(x, weight, bias, stride, padding, dilation, groups));

        public override Tensor Linear(Tensor x, Tensor weight, Tensor? bias) => Spoil(OperationKinds.Product, base.Linear(x, weight, bias));

        public override Tensor Attention(Tensor q, Tensor k, Tensor v, Tensor? mask = null, bool causal = false) =>
            Spoil(OperationKinds.Attention, base.Attention(q, k, v, mask, causal));

        public override Tensor LayerNorm(Tensor x, Tensor weight, Tensor bias, double eps) =>
            Spoil(OperationKinds.LayerNorm, base.LayerNorm(x, weight, bias, eps));

        public override Tensor RmsNorm(Tensor x, Tensor weight, double eps) =>
            Spoil(OperationKinds.Elementwise, base.RmsNorm(x, weight, eps));

        private Tensor Spoil(OperationKinds kind, Tensor right) => wrong.HasFlag(kind) ? right.Mul(1.1) : right;
    }
}
