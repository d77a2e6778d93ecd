using Chatterbox.Models;

namespace Chatterbox.Tests.Models;

public class SyntheticTensorsTests
{
    [Theory]
    [InlineData("t3_cfg", "speech_head.weight", 0, 0x3d9777c9)]
    [InlineData("t3_cfg", "tfmr.layers.0.input_layernorm.weight", 1023, 0x3f81a1c2)]
    [InlineData("s3gen", "mel2wav.conv_post.bias", 17, unchecked((int)0xbfe5ede5))]
    [InlineData("s3gen", "mel2wav.ups.0.parametrizations.weight.original0", 0, 0x4006ab10)]
    [InlineData("t3_turbo_v1", "tfmr.h.23.mlp.c_proj.weight", 4194303, 0x3b0a98e9)]
    [InlineData("perth_net", "decoder.fast_layers.6.conv.bias", 1, 0x3f028123)]
    public void Values_have_the_published_bits(string file, string tensor, int index, int bits)
    {
        using var source = SyntheticTensors.FullSize(file);
        using var values = source.Read(tensor);
        Assert.Equal(bits, BitConverter.SingleToInt32Bits(values.flatten()[index].item<float>()));
    }

    [Fact]
    public void The_rule_does_not_depend_on_the_shape()
    {
        using var file = SyntheticTensors.FullSize("t3_cfg");
        var scale = file["speech_head.weight"].Scale;
        using var longer = new SyntheticTensors(
            "longer",
            new Dictionary<string, SyntheticTensor> { ["speech_head.weight"] = new(new(ScalarType.Float32, [8391655]), 0, scale) }
        );
        using var values = longer.Read("speech_head.weight");
        Assert.Equal(0x3d79eca4, BitConverter.SingleToInt32Bits(values[8391654].item<float>()));
        Assert.Equal(0x3d9777c9, BitConverter.SingleToInt32Bits(values[0].item<float>()));
    }
}
