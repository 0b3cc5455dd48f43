/**
 * fast-check from one seed, so that what passes once passes always and what fails can be looked at again. Others are tried
 * by `FC_SEED`.
 */
import fc from 'fast-check';

fc.configureGlobal({ seed: Number(process.env['FC_SEED'] ?? 7701) });

export default fc;
