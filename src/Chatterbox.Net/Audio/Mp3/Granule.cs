namespace Chatterbox.Audio.Mp3;

/// <summary>A quantized granule, and what a decoder has to know of it.</summary>
internal sealed class Granule
{
    /// <summary>How it is windowed.</summary>
    public BlockType Type { get; set; }

    /// <summary>Magnitudes of the 576 quantized lines.</summary>
    public int[] Values { get; } = new int[Mp3Header.GranuleSamples];

    /// <summary>Size of a quantization step: a quarter of a power of two, counted from 2^-52.5.</summary>
    public int GlobalGain { get; set; }

    /// <summary>By how many half powers of two each band is coded finer.</summary>
    public int[] ScaleFactors { get; } = new int[ScaleFactorBands.Count];

    /// <summary>Number of the widths of the scale factors.</summary>
    public int ScaleFactorCode { get; set; }

    /// <summary>Bits of each scale factor in the four (MPEG-2) or two (MPEG-1) groups of bands, by band.</summary>
    public int[] ScaleFactorBits { get; } = new int[ScaleFactorBands.Count];

    /// <summary>Lines coded as pairs, then those coded as quadruples of at most 1; the rest are zero.</summary>
    public int PairLines { get; set; }

    /// <inheritdoc cref="PairLines"/>
    public int QuadrupleLines { get; set; }

    /// <summary>Where the second and the third region of pairs begin, in lines.</summary>
    public (int Second, int Third) Regions { get; set; }

    /// <summary>Bands of the first two regions, less one each.</summary>
    public (int First, int Second) RegionBands { get; set; }

    /// <summary>The regions' tables.</summary>
    public int[] Tables { get; } = new int[3];

    /// <summary>Which of the two tables the quadruples have.</summary>
    public int QuadrupleTable { get; set; }

    /// <summary>Bits of scale factors and lines.</summary>
    public int Bits { get; set; }
}
