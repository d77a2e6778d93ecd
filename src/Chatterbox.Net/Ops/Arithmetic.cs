namespace Chatterbox.Ops;

/// <summary>The operations of torch that involve a number, under torch's names: the only place where TorchSharp's own are used.</summary>
/// <remarks>TorchSharp hands a number to libtorch as a <see cref="Scalar"/>, an object whose finaliser frees what libtorch reads. In an
/// expression such as <c>x * 2.0</c>, and in <c>x + y</c> with its hidden factor of one, nothing holds that object during the native
/// call: a garbage collection at that moment lets libtorch read freed memory. Here each number lives until the call has returned.</remarks>
internal static class Arithmetic
{
    private static readonly Scalar One = 1;

    extension(Tensor x)
    {
        /// <summary>x + y.</summary>
        public Tensor Add(Tensor y) => x.add(y, One);

        /// <summary>x becomes x + y.</summary>
        public Tensor AddInPlace(Tensor y) => x.add_(y, One);

        /// <summary>x + number.</summary>
        public Tensor Add(double number)
        {
            using Scalar y = number;
            return x.add(y, One);
        }

        /// <summary>x - number.</summary>
        public Tensor Sub(double number)
        {
            using Scalar y = number;
            return x.sub(y);
        }

        /// <summary>x · number.</summary>
        public Tensor Mul(double number)
        {
            using Scalar y = number;
            return x.mul(y);
        }

        /// <summary>x / number.</summary>
        public Tensor Div(double number)
        {
            using Scalar y = number;
            return x.div(y);
        }

        /// <summary>x raised to a power.</summary>
        public Tensor Pow(double exponent)
        {
            using Scalar y = exponent;
            return x.pow(y);
        }

        /// <summary>x².</summary>
        public Tensor Square() => x.Pow(2);

        /// <summary>x modulo number, with the number's sign.</summary>
        public Tensor Remainder(double number)
        {
            using Scalar y = number;
            return x.remainder(y);
        }

        /// <summary>x, or the least that is allowed.</summary>
        public Tensor ClampMin(double least)
        {
            using Scalar min = least;
            return x.clamp_min(min);
        }

        /// <summary>x, or the most that is allowed.</summary>
        public Tensor ClampMax(double most)
        {
            using Scalar max = most;
            return x.clamp_max(max);
        }

        /// <summary>x between two bounds.</summary>
        public Tensor Clamp(double least, double most)
        {
            using Scalar min = least,
                max = most;
            return x.clamp(min, max);
        }

        /// <summary>True where x &lt; number.</summary>
        public Tensor Lt(double number)
        {
            using Scalar y = number;
            return x.lt(y);
        }

        /// <summary>True where x ≤ number.</summary>
        public Tensor Le(double number)
        {
            using Scalar y = number;
            return x.le(y);
        }

        /// <summary>True where x &gt; number.</summary>
        public Tensor Gt(double number)
        {
            using Scalar y = number;
            return x.gt(y);
        }

        /// <summary>x, or the number where the mask is true.</summary>
        public Tensor MaskedFill(Tensor mask, double number)
        {
            using Scalar y = number;
            return x.masked_fill(mask, y);
        }

        /// <summary>Writes a number into all of x.</summary>
        public Tensor Fill(double number)
        {
            using Scalar y = number;
            return x.fill_(y);
        }

        /// <summary>Writes a number into x, at these indices of a dimension.</summary>
        public Tensor IndexFill(long dimension, Tensor indices, double number)
        {
            using Scalar y = number;
            return x.index_fill_(dimension, indices, y);
        }

        /// <summary>x, multiplied by the slope where it is negative.</summary>
        public Tensor LeakyRelu(double slope)
        {
            using Scalar y = slope;
            return x.leaky_relu(y);
        }

        /// <summary>x, or eˣ − 1 where it is negative.</summary>
        public Tensor Elu() => x.elu(One, One, One);

        /// <summary>x · tanh(ln(1 + eˣ)).</summary>
        public Tensor Mish()
        {
            using var scope = NewDisposeScope();
            return (x * x.logaddexp(zeros([], x.dtype, x.device)).tanh()).MoveToOuterDisposeScope();
        }

        /// <summary>x · y + z.</summary>
        public Tensor MulAdd(Tensor y, Tensor z) => z.addcmul(x, y, One);
    }

    /// <summary>The float32 numbers from start up to, and without, end.</summary>
    public static Tensor Range(double start, double end, double step = 1, Device? device = null)
    {
        using Scalar first = start,
            stop = end,
            stride = step;
        return arange(first, stop, stride, ScalarType.Float32, device);
    }
}
