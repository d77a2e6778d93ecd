using Chatterbox.Ops.Cuda;
using static TorchSharp.torch.nn.functional;

namespace Chatterbox.Voices;

/// <summary>Sizes of CAM++. Source: chatterbox models/s3gen/xvector.py, CAMPPlus.</summary>
/// <param name="Bands">Mel bands heard.</param>
/// <param name="HeadChannels">Channels of the two-dimensional head.</param>
/// <param name="InitChannels">Channels that the first dense block starts from.</param>
/// <param name="Growth">Channels that each dense layer adds.</param>
/// <param name="BottleneckChannels">Channels inside a dense layer.</param>
/// <param name="EmbeddingSize">Numbers of the x-vector.</param>
/// <param name="ContextFrames">Frames that share one local context.</param>
internal sealed record CamPlusConfig(
    int Bands = 80,
    int HeadChannels = 32,
    int InitChannels = 128,
    int Growth = 32,
    int BottleneckChannels = 128,
    int EmbeddingSize = 192,
    int ContextFrames = 100
)
{
    /// <summary>Layers and dilation of each dense block.</summary>
    public IReadOnlyList<(int Layers, int Dilation)> Blocks { get; init; } = [(12, 1), (24, 2), (16, 2)];

    /// <summary>Channels that leave the head: its own for each band left after three halvings.</summary>
    public int HeadOutputs => HeadChannels * (Bands / 8);
}

/// <summary>CAM++: a convolutional head, then densely connected layers that weigh what they hear by its context; gives the
/// x-vector, S3Gen's idea of a speaker.</summary>
/// <remarks>Ports CAMPPlus of chatterbox models/s3gen/xvector.py. Weights: speaker_encoder.</remarks>
internal sealed class CamPlus
{
    private const int LongestGraph = 1000,
        MostGraphs = 4; // frames: ten seconds, of which S3Gen hears no more

    private readonly CamPlusConfig _config;
    private readonly ScalarType _dtype;
    private readonly CamPlusHead _head;
    private readonly Conv1d _tdnn;
    private readonly BatchNorm _tdnnNorm;
    private readonly List<(CamPlusLayer[] Layers, NormedConv Transit)> _blocks = [];
    private readonly BatchNorm _outputNorm;
    private readonly Conv1d _dense;
    private readonly BatchNorm _denseNorm;
    private readonly Tensor? _input; // of graphs, [numbers of the longest]
    private readonly TorchGraphs<int>? _graphs;

    public CamPlus(CamPlusConfig config, WeightScope weights)
    {
        (_config, _dtype) = (config, weights.DType);
        _head = new(config.HeadChannels, weights["head"]);
        weights = weights["xvector"];
        var channels = config.InitChannels;
        _tdnn = new(weights["tdnn"]["linear"], config.HeadOutputs, channels, kernel: 5, stride: 2, padding: 2, bias: false);
        _tdnnNorm = new(weights["tdnn"]["nonlinear"]["batchnorm"], channels, 3);
        for (var block = 1; block <= config.Blocks.Count; block++)
        {
            var layers = new CamPlusLayer[config.Blocks[block - 1].Layers];
            for (var layer = 0; layer < layers.Length; layer++, channels += config.Growth)
            {
                layers[layer] = new(config, weights[$"block{block}"][$"tdnnd{layer + 1}"], channels, config.Blocks[block - 1].Dilation);
            }

            var transit = weights[$"transit{block}"];
            _blocks.Add((layers, new(transit["nonlinear"], transit["linear"], channels, channels / 2)));
            channels /= 2;
        }

        _outputNorm = new(weights["out_nonlinear"]["batchnorm"], channels, 3);
        _dense = new(weights["dense"]["linear"], 2 * channels, config.EmbeddingSize, kernel: 1, bias: false);
        _denseNorm = new(weights["dense"]["nonlinear"]["batchnorm"], config.EmbeddingSize, 3, affine: false);
        if (TorchGraph.UnsupportedReason(weights.Device) is null)
        {
            _input = weights.Own(zeros([LongestGraph * config.Bands], ScalarType.Float32, weights.Device));
            _graphs = weights.Own(new TorchGraphs<int>(_input.device, MostGraphs, frames => Run(Input(frames)), atOnce: false));
        }
    }

    /// <param name="fbank">Kaldi filter bank less its mean, [frames, bands]; at least three frames.</param>
    /// <param name="beside">Other work on the GPU that does not need the x-vector.</param>
    /// <returns>The x-vector, [embedding], float32.</returns>
    public Tensor Forward(Tensor fbank, Action? beside = null)
    {
        var frames = (int)fbank.shape[0];
        if (_graphs is not null && frames <= LongestGraph)
        {
            return _graphs.Run(frames, () => Input(frames).copy_(fbank), beside);
        }

        var xVector = Run(fbank);
        beside?.Invoke();
        return xVector;
    }

    private Tensor Input(int frames)
    {
        using var scope = NewDisposeScope();
        return _input!.narrow(0, 0, frames * _config.Bands).view(frames, _config.Bands).MoveToOuterDisposeScope();
    }

    private Tensor Run(Tensor fbank)
    {
        using var scope = NewDisposeScope();
        var x = _head.Forward(fbank.to(_dtype).transpose(0, 1).unsqueeze(0)); // [1, headOutputs, frames]
        x = relu(_tdnnNorm.Forward(_tdnn.Forward(x))); // [1, init, frames / 2]
        var segments = Segments.Of(x.shape[2], _config.ContextFrames, x);
        foreach (var (layers, transit) in _blocks)
        {
            x = Dense(x, segments, layers, transit);
        }

        x = relu(_outputNorm.Forward(x));
        x = cat([x.mean([-1], keepdim: true), x.std(-1, unbiased: true, keepdim: true)], 1); // [1, 2·channels, 1]
        return _denseNorm.Forward(_dense.Forward(x)).reshape(-1).to(ScalarType.Float32).MoveToOuterDisposeScope();
    }

    private static Tensor Dense(Tensor x, Segments segments, CamPlusLayer[] layers, NormedConv transit)
    {
        using var scope = NewDisposeScope();
        foreach (var layer in layers)
        {
            x = cat([x, layer.Forward(x, segments)], 1);
        }

        return transit.Forward(x).MoveToOuterDisposeScope();
    }
}

/// <summary>The head: convolutions over bands and time that halve the bands three times.</summary>
/// <remarks>Ports FCM.</remarks>
internal sealed class CamPlusHead(int channels, WeightScope weights)
{
    private readonly Conv2d _conv1 = new(weights["conv1"], 1, channels, kernel: 3, (1, 1), padding: 1, bias: false);
    private readonly BatchNorm _norm1 = new(weights["bn1"], channels, 4);
    private readonly CamPlusResidual[] _blocks =
    [
        new(channels, weights["layer1"][0], halves: true),
        new(channels, weights["layer1"][1], halves: false),
        new(channels, weights["layer2"][0], halves: true),
        new(channels, weights["layer2"][1], halves: false),
    ];

    private readonly Conv2d _conv2 = new(weights["conv2"], channels, channels, kernel: 3, (2, 1), padding: 1, bias: false);
    private readonly BatchNorm _norm2 = new(weights["bn2"], channels, 4);

    /// <param name="x">[rows, bands, frames].</param>
    /// <returns>[rows, channels · bands / 8, frames].</returns>
    public Tensor Forward(Tensor x)
    {
        using var scope = NewDisposeScope();
        x = relu(_norm1.Forward(_conv1.Forward(x.unsqueeze(1))));
        foreach (var block in _blocks)
        {
            x = block.Forward(x);
        }

        x = relu(_norm2.Forward(_conv2.Forward(x))); // [rows, channels, bands / 8, frames]
        return x.flatten(1, 2).MoveToOuterDisposeScope();
    }
}

/// <summary>Two convolutions added to what went in, or to its projection where the bands are halved.</summary>
/// <remarks>Ports BasicResBlock.</remarks>
internal sealed class CamPlusResidual(int channels, WeightScope weights, bool halves)
{
    private readonly Conv2d _conv1 = new(weights["conv1"], channels, channels, kernel: 3, (halves ? 2 : 1, 1), padding: 1, bias: false);
    private readonly BatchNorm _norm1 = new(weights["bn1"], channels, 4);
    private readonly Conv2d _conv2 = new(weights["conv2"], channels, channels, kernel: 3, (1, 1), padding: 1, bias: false);
    private readonly BatchNorm _norm2 = new(weights["bn2"], channels, 4);
    private readonly Conv2d? _shortcut = halves ? new(weights["shortcut"][0], channels, channels, kernel: 1, (2, 1), bias: false) : null;
    private readonly BatchNorm? _shortcutNorm = halves ? new(weights["shortcut"][1], channels, 4) : null;

    /// <param name="x">[rows, channels, bands, frames].</param>
    public Tensor Forward(Tensor x)
    {
        using var scope = NewDisposeScope();
        var y = _norm2.Forward(_conv2.Forward(relu(_norm1.Forward(_conv1.Forward(x)))));
        var shortcut = _shortcut is null ? x : _shortcutNorm!.Forward(_shortcut.Forward(x));
        return relu(y.Add(shortcut)).MoveToOuterDisposeScope();
    }
}

/// <summary>A dense layer: a bottleneck, then a dilated convolution masked by the context of the whole and of the segment.</summary>
/// <remarks>Ports CAMDenseTDNNLayer and CAMLayer.</remarks>
internal sealed class CamPlusLayer(CamPlusConfig config, WeightScope weights, int inputs, int dilation)
{
    private readonly NormedConv _bottleneck = new(weights["nonlinear1"], weights["linear1"], inputs, config.BottleneckChannels);
    private readonly BatchNorm _norm = new(weights["nonlinear2"]["batchnorm"], config.BottleneckChannels, 3);

    private readonly Conv1d _local = new(
        weights["cam_layer"]["linear_local"],
        config.BottleneckChannels,
        config.Growth,
        kernel: 3,
        padding: dilation,
        dilation: dilation,
        bias: false
    );

    private readonly Conv1d _context1 = new(
        weights["cam_layer"]["linear1"],
        config.BottleneckChannels,
        config.BottleneckChannels / 2,
        kernel: 1
    );
    private readonly Conv1d _context2 = new(weights["cam_layer"]["linear2"], config.BottleneckChannels / 2, config.Growth, kernel: 1);

    /// <param name="x">[rows, inputs, frames].</param>
    /// <param name="segments">Those of the frames.</param>
    /// <returns>[rows, growth, frames].</returns>
    public Tensor Forward(Tensor x, Segments segments)
    {
        using var scope = NewDisposeScope();
        x = relu(_norm.Forward(_bottleneck.Forward(x))); // [rows, bottleneck, frames]
        var context = matmul(x, segments.Average); // [rows, bottleneck, segments]
        var mask = _context2.Forward(relu(_context1.Forward(context))).sigmoid();
        return (_local.Forward(x) * matmul(mask, segments.Spread)).MoveToOuterDisposeScope();
    }
}

/// <summary>Frames that share one context, as matrices.</summary>
/// <param name="Average">From frames to the sum of the mean of all and the mean of the segment, [frames, segments]. The last
/// segment is as long as frames are left.</param>
/// <param name="Spread">From segments to their frames, [segments, frames].</param>
internal sealed record Segments(Tensor Average, Tensor Spread)
{
    /// <param name="frames">Frames in all.</param>
    /// <param name="length">Frames of a segment.</param>
    /// <param name="like">A tensor of the device and element type wanted.</param>
    public static Segments Of(long frames, int length, Tensor like)
    {
        using var scope = NewDisposeScope();
        var starts = Arithmetic.Range(0, frames, length, like.device).unsqueeze(1); // [segments, 1]
        var places = Arithmetic.Range(0, frames, device: like.device);
        var spread = ((places >= starts) & (places < starts.Add(length))).to(like.dtype);
        var average = (spread / spread.sum(1, keepdim: true)).Add(1.0 / frames).transpose(0, 1);
        return new(average.MoveToOuterDisposeScope(), spread.MoveToOuterDisposeScope());
    }
}

/// <summary>Batch norm, ReLU, then a convolution of width one.</summary>
/// <remarks>Ports TransitLayer and the first half of CAMDenseTDNNLayer.</remarks>
internal sealed class NormedConv(WeightScope norm, WeightScope conv, int inputs, int outputs)
{
    private readonly BatchNorm _norm = new(norm["batchnorm"], inputs, 3);
    private readonly Conv1d _conv = new(conv, inputs, outputs, kernel: 1, bias: false);

    /// <param name="x">[rows, inputs, frames].</param>
    /// <returns>[rows, outputs, frames].</returns>
    public Tensor Forward(Tensor x)
    {
        using var scope = NewDisposeScope();
        return _conv.Forward(relu(_norm.Forward(x))).MoveToOuterDisposeScope();
    }
}
